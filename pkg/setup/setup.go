// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
	"sigs.k8s.io/yaml"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

const (
	fieldManager = "epic-setup"
	retryPeriod  = 2 * time.Second
)

var (
	apiServices = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}
	epics       = v1.SchemeGroupVersion.WithResource("epics")
	apiService  = v1.SchemeGroupVersion.Version + "." + v1.SchemeGroupVersion.Group
)

// Setup is an installation to complete.
type Setup struct {
	Kube    kubernetes.Interface
	Dynamic dynamic.Interface
	// Namespace is the namespace of the API server.
	Namespace string
	// Certificates enables the creation and renewal of certificates. Otherwise, somebody
	// else manages them, and the authority in the APIService.
	Certificates bool
	// EtcdMembers is the number of members of the etcd that is part of the installation.
	// It is 0 if etcd is embedded in the API server or external.
	EtcdMembers int
	// TunnelKeyRotation is the age at which the master key of the tunnels is replaced; 0
	// means never. Each run performs at most one step, so the replacement takes several
	// runs.
	TunnelKeyRotation time.Duration
	// Spec is the spec of the EPIC object. Fields that it lacks are not changed.
	Spec map[string]any
}

// ParseSpec parses the spec of an EPIC object in YAML or JSON.
func ParseSpec(text []byte) (map[string]any, error) {
	var typed v1.EPICSpec
	if err := yaml.UnmarshalStrict(text, &typed); err != nil {
		return nil, fmt.Errorf("the spec of the EPIC object: %w: \"kubectl explain epics.spec\" describes its fields", err)
	}
	var spec map[string]any
	err := yaml.Unmarshal(text, &spec)
	return spec, err
}

// Run completes the installation. It retries failed steps until ctx ends, because the
// cluster may still be starting what it waits for.
func (s *Setup) Run(ctx context.Context) error {
	for _, step := range []struct {
		name string
		run  func(context.Context) error
	}{{"certificates", s.certificates}, {"tunnel keys", s.ensureTunnelKeys}, {"EPIC object", s.ensureEPIC}, {"list of kinds", s.kindsListed}} {
		if err := persistently(ctx, step.name, step.run); err != nil {
			return err
		}
	}
	return nil
}

// persistently runs a step until it succeeds or ctx ends, and returns its last error.
func persistently(ctx context.Context, name string, step func(context.Context) error) error {
	logger := klog.FromContext(ctx)
	var last error
	err := wait.PollUntilContextCancel(ctx, retryPeriod, true, func(ctx context.Context) (bool, error) {
		err := step(ctx)
		if err == nil {
			return true, nil
		}
		if last == nil || last.Error() != err.Error() {
			logger.Info("A step failed and will be retried", "step", name, "err", err)
		}
		last = err
		return false, nil
	})
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", name, err), last)
	}
	return nil
}

func (s *Setup) certificates(ctx context.Context) error {
	if !s.Certificates {
		return nil
	}
	bundle, err := s.ensureCertificates(ctx, time.Now())
	if err != nil {
		return err
	}
	is, err := s.Dynamic.Resource(apiServices).Get(ctx, apiService, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read apiservice %s: %w", apiService, err)
	}
	text, _, err := unstructured.NestedString(is.Object, "spec", "caBundle")
	if err != nil {
		return fmt.Errorf("read apiservice %s: %w", apiService, err)
	}
	if have, err := base64.StdEncoding.DecodeString(text); err == nil && bytes.Equal(have, bundle) {
		return nil
	}
	patch := fmt.Sprintf(`{"spec":{"caBundle":%q}}`, base64.StdEncoding.EncodeToString(bundle))
	if _, err := s.Dynamic.Resource(apiServices).Patch(ctx, apiService, types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: fieldManager}); err != nil {
		return fmt.Errorf("write apiservice %s: %w", apiService, err)
	}
	klog.FromContext(ctx).Info("Set the authority of the APIService", "apiservice", apiService)
	return nil
}

// ensureEPIC creates the EPIC object, in its namespace, or sets the fields of its spec.
func (s *Setup) ensureEPIC(ctx context.Context) error {
	_, err := s.Kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: epic.ConfigNamespace}}, metav1.CreateOptions{FieldManager: fieldManager})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create namespace %s: %w", epic.ConfigNamespace, err)
	}
	object := &unstructured.Unstructured{Object: map[string]any{"spec": s.Spec}}
	if s.Spec == nil {
		object.Object["spec"] = map[string]any{}
	}
	object.SetAPIVersion(v1.SchemeGroupVersion.String())
	object.SetKind("EPIC")
	// The server only accepts a new object under its fixed name.
	object.SetNamespace(epic.ConfigNamespace)
	object.SetName(epic.ConfigName)
	if _, err := s.Dynamic.Resource(epics).Namespace(epic.ConfigNamespace).Apply(ctx, epic.ConfigName, object, metav1.ApplyOptions{FieldManager: fieldManager, Force: true}); err != nil {
		return fmt.Errorf("write epic %s/%s: %w", epic.ConfigNamespace, epic.ConfigName, err)
	}
	return nil
}
