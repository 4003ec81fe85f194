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

// What artifacts/install/connector calls its parts.
const (
	nodeProgram         = "epic-node-client"
	clientNamespace     = "epic-client"
	nodeContainer       = "epic-node"
	accountSetting      = "ACCOUNT_NAMESPACE"
	connectorName       = "epic-connector"
	kubeconfigObject    = "epic-kubeconfig"
	kubeconfigKey       = "kubeconfig"
	connectorClusterEnv = "CLUSTER"
	// expiryAnnotation on the Secret has the time when its token expires. The connector renews it by
	// itself before that.
	expiryAnnotation = epic.LabelPrefix + "credential-expires"
)

// connectorInstall is what a client cluster's connector and nodes are told.
type connectorInstall struct {
	account, cluster, group string
	// image and nodeImage are those of the manifests if they are empty.
	image, nodeImage string
	// tag is that of the manifests' images, if it is not empty.
	tag string
	// monitoring adds what the Prometheus Operator needs.
	monitoring bool
	kubeconfig []byte
	expires    time.Time
}

// connectorManifest is the kustomization of artifacts/install/connector, with an overlay
// that tells it about one cluster.
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
		// JSON is YAML, and does not need another encoder.
		data, err := json.Marshal(content)
		if err != nil {
			return nil, err
		}
		if err := files.WriteFile(path.Join("/overlay", name), data); err != nil {
			return nil, err
		}
	}
	options := krusty.MakeDefaultOptions()
	// The namespace first, and the Secret before the Deployment, whose new pods read it.
	options.Reorder = krusty.ReorderOptionLegacy
	built, err := krusty.MakeKustomizer(options).Run(files, "/overlay")
	if err != nil {
		return nil, fmt.Errorf("build the manifest: %w", err)
	}
	return built.AsYaml()
}

// overlay is the content of the overlay's files by name.
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

// images are those of the release that this program is part of.
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

// settings are a strategic merge patch of the Deployment: lists are merged by name.
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

// nodes is the same for the node program.
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

// operation is one of a JSON patch.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// patchOf changes one object.
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
