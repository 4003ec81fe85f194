// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/resid"

	manifests "github.com/acnodal/epic/artifacts/install"
	"github.com/acnodal/epic/pkg/apis/epic"
)

// Names in artifacts/install/connector.
const (
	nodeProgram         = "epic-node-client"
	clientNamespace     = "epic-client"
	nodeContainer       = "epic-node"
	accountSetting      = "ACCOUNT_NAMESPACE"
	connectorName       = "epic-connector"
	kubeconfigObject    = "epic-kubeconfig"
	kubeconfigKey       = "kubeconfig"
	connectorClusterEnv = "CLUSTER"
	// expiryAnnotation on the Secret is the expiration of its token. The connector renews
	// the token before that.
	expiryAnnotation = epic.LabelPrefix + "credential-expires"
)

// connectorInstall is the configuration of a client cluster's connector and nodes.
type connectorInstall struct {
	account, cluster, group string
	// image and nodeImage override those of the manifests if they are not empty.
	image, nodeImage string
	// tag overrides the tag of the manifests' images if it is not empty.
	tag string
	// monitoring adds the objects for the Prometheus Operator.
	monitoring bool
	kubeconfig []byte
	expires    time.Time
}

// connectorManifest returns the result of the kustomization in
// artifacts/install/connector, with an overlay for one cluster.
func connectorManifest(in connectorInstall) ([]byte, error) {
	files := filesys.MakeFsInMemory()
	err := fs.WalkDir(manifests.ClientCluster, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := manifests.ClientCluster.ReadFile(name)
		if err != nil {
			return err
		}
		return files.WriteFile(path.Join("/install", name), data)
	})
	if err != nil {
		return nil, err
	}
	overlay, err := in.overlay()
	if err != nil {
		return nil, err
	}
	for name, content := range overlay {
		// JSON is a subset of YAML, so no other encoder is needed.
		data, err := json.Marshal(content)
		if err != nil {
			return nil, err
		}
		if err := files.WriteFile(path.Join("/overlay", name), data); err != nil {
			return nil, err
		}
	}
	options := krusty.MakeDefaultOptions()
	// The namespace comes first, and the Secret before the Deployment, whose new pods
	// read it.
	options.Reorder = krusty.ReorderOptionLegacy
	built, err := krusty.MakeKustomizer(options).Run(files, "/overlay")
	if err != nil {
		return nil, fmt.Errorf("build the manifest: %w", err)
	}
	return built.AsYaml()
}

// overlay returns the overlay's files by name.
func (in connectorInstall) overlay() (map[string]any, error) {
	secret := &corev1.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: connectorName, Name: kubeconfigObject,
			Labels:      map[string]string{epic.PartOfLabel: epic.ProductName},
			Annotations: map[string]string{expiryAnnotation: in.expires.UTC().Format(time.RFC3339)},
		},
		Data: map[string][]byte{kubeconfigKey: in.kubeconfig},
	}
	class, err := patchOf(resid.NewGvk("gateway.networking.k8s.io", "v1", "GatewayClass"), "epic", []operation{
		{"add", "/spec/parametersRef", map[string]string{"group": epic.GroupName, "kind": "LBServiceGroup", "name": in.group}},
	})
	if err != nil {
		return nil, err
	}
	kind := resid.NewGvk("apps", "v1", "Deployment")
	arguments, err := patchOf(kind, connectorName, []operation{
		{"add", "/spec/template/spec/containers/0/args/-", "--service-group=" + in.group},
	})
	if err != nil {
		return nil, err
	}
	settings, err := json.Marshal(in.settings())
	if err != nil {
		return nil, err
	}
	nodes, err := json.Marshal(in.nodes())
	if err != nil {
		return nil, err
	}
	resources := []string{"../install/connector", "secret.yaml"}
	if in.monitoring {
		resources = append(resources, "../install/monitoring-client")
	}
	return map[string]any{
		"kustomization.yaml": types.Kustomization{
			TypeMeta:  types.TypeMeta{APIVersion: types.KustomizationVersion, Kind: types.KustomizationKind},
			Resources: resources,
			Images:    in.images(),
			Patches:   []types.Patch{class, arguments, {Patch: string(settings)}, {Patch: string(nodes)}},
			ConfigMapGenerator: []types.ConfigMapArgs{{GeneratorArgs: types.GeneratorArgs{
				Namespace: clientNamespace, Name: nodeProgram, Behavior: types.BehaviorMerge.String(),
				KvPairSources: types.KvPairSources{LiteralSources: []string{
					accountSetting + "=" + accountNamespace(in.account), connectorClusterEnv + "=" + in.cluster,
				}},
			}}},
		},
		"secret.yaml": secret,
	}, nil
}

// images returns the images of this program's release.
func (in connectorInstall) images() []types.Image {
	if in.tag == "" {
		return nil
	}
	var images []types.Image
	for name, given := range map[string]string{"acnodal/epic-connector": in.image, "acnodal/epic-node": in.nodeImage} {
		if given == "" {
			images = append(images, types.Image{Name: name, NewTag: in.tag})
		}
	}
	return images
}

// settings returns a strategic merge patch of the Deployment: lists are merged by name.
func (in connectorInstall) settings() map[string]any {
	container := map[string]any{
		"name": connectorName,
		"env":  []any{map[string]any{"name": connectorClusterEnv, "value": in.cluster}},
	}
	if in.image != "" {
		container["image"] = in.image
	}
	return map[string]any{
		"apiVersion": "apps/v1",
		"kind":       "Deployment",
		"metadata":   map[string]any{"namespace": connectorName, "name": connectorName},
		"spec": map[string]any{"template": map[string]any{
			"spec": map[string]any{"containers": []any{container}},
		}},
	}
}

// nodes returns the equivalent for the node program.
func (in connectorInstall) nodes() map[string]any {
	container := map[string]any{"name": nodeContainer}
	if in.nodeImage != "" {
		container["image"] = in.nodeImage
	}
	return map[string]any{
		"apiVersion": "apps/v1",
		"kind":       "DaemonSet",
		"metadata":   map[string]any{"namespace": clientNamespace, "name": nodeProgram},
		"spec": map[string]any{"template": map[string]any{
			"spec": map[string]any{"containers": []any{container}},
		}},
	}
}

// operation is an operation of a JSON patch.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// patchOf returns a patch of one object.
func patchOf(kind resid.Gvk, name string, operations []operation) (types.Patch, error) {
	data, err := json.Marshal(operations)
	if err != nil {
		return types.Patch{}, err
	}
	return types.Patch{
		Patch:  string(data),
		Target: &types.Selector{ResId: resid.ResId{Gvk: kind, Name: name}},
	}, nil
}
