// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/util/uuid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/connector/publish"
	"github.com/acnodal/epic/pkg/privatefile"
	"github.com/acnodal/epic/pkg/secretrefs"
)

// SecretWriter writes Secrets to the account's namespace in EPIC. It can't read them.
type SecretWriter interface {
	// Apply creates or updates a Secret.
	Apply(ctx context.Context, secret *corev1.Secret) error
	// Delete removes a Secret.
	Delete(ctx context.Context, name string) error
	// Sweep removes the Secrets of a cluster that were not written since the writer was
	// created, except those in keep.
	Sweep(ctx context.Context, cluster string, keep []string) error
}

// runLabel is the run of the connector that wrote a Secret last.
const runLabel = epic.LabelPrefix + "connector-run"

// apiSecrets writes Secrets in the Kubernetes cluster of EPIC's API.
type apiSecrets struct {
	client    client.Client
	namespace string
	// uid is the UID of the client cluster.
	uid string
	run string
}

// APISecrets returns a SecretWriter that uses an API server, for the client cluster with
// a UID.
func APISecrets(c client.Client, namespace, uid string) SecretWriter {
	return &apiSecrets{c, namespace, uid, string(uuid.NewUUID())}
}

// Apply implements SecretWriter.
func (w *apiSecrets) Apply(ctx context.Context, secret *corev1.Secret) error {
	secret = secret.DeepCopy()
	secret.Labels[runLabel] = w.run
	// A digest of a key must not be exposed.
	u, err := content(secret)
	if err != nil {
		return err
	}
	if err := w.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), fieldOwner, client.ForceOwnership); err != nil {
		return fmt.Errorf("write Secret %s: %w", secret.Name, err)
	}
	writes.WithLabelValues("Secret", "apply").Inc()
	return nil
}

// Delete implements SecretWriter.
func (w *apiSecrets) Delete(ctx context.Context, name string) error {
	secret := &corev1.Secret{}
	secret.Namespace, secret.Name = w.namespace, name
	if err := w.client.Delete(ctx, secret); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete Secret %s: %w", name, err)
	}
	writes.WithLabelValues("Secret", "delete").Inc()
	return nil
}

// Sweep implements SecretWriter.
func (w *apiSecrets) Sweep(ctx context.Context, cluster string, keep []string) error {
	own, err := labels.NewRequirement(epic.OwningClusterLabel, selection.Equals, []string{epic.LabelValue(cluster)})
	if err != nil {
		return fmt.Errorf("select Secrets: %w", err)
	}
	written, err := labels.NewRequirement(runLabel, selection.Exists, nil)
	if err != nil {
		return fmt.Errorf("select Secrets: %w", err)
	}
	former, err := labels.NewRequirement(runLabel, selection.NotIn, []string{w.run})
	if err != nil {
		return fmt.Errorf("select Secrets: %w", err)
	}
	selector := client.MatchingLabelsSelector{Selector: labels.NewSelector().Add(*own, *written, *former)}
	if w.uid != "" {
		// Another cluster may accidentally have the same name.
		same, err := labels.NewRequirement(publish.ClusterUIDKey, selection.Equals, []string{w.uid})
		if err != nil {
			return fmt.Errorf("select Secrets: %w", err)
		}
		selector.Selector = selector.Selector.Add(*same)
	}
	others := client.MatchingFieldsSelector{Selector: secretrefs.Except(keep)}
	if err := w.client.DeleteAllOf(ctx, &corev1.Secret{}, client.InNamespace(w.namespace), selector, others); err != nil {
		return fmt.Errorf("delete Secrets of previous runs: %w", err)
	}
	return nil
}

// folderSecrets writes Secrets as files, for an operator that runs without Kubernetes.
type folderSecrets struct {
	folder string
	mu     sync.Mutex
	wrote  map[string]bool
}

// FolderSecrets returns a SecretWriter that writes each Secret as a directory
// FOLDER/NAMESPACE/NAME of files.
func FolderSecrets(folder, namespace string) SecretWriter {
	return &folderSecrets{folder: filepath.Join(folder, namespace), wrote: map[string]bool{}}
}

// clusterFile is the file in the directory of a Secret that names its cluster.
const clusterFile = ".cluster"

// Apply implements SecretWriter.
func (w *folderSecrets) Apply(_ context.Context, secret *corev1.Secret) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	folder := filepath.Join(w.folder, secret.Name)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("write Secret %s: %w", secret.Name, err)
	}
	files := maps.Clone(secret.Data)
	files[clusterFile] = []byte(secret.Labels[epic.OwningClusterLabel])
	for _, key := range slices.Sorted(maps.Keys(files)) {
		if err := privatefile.Write(filepath.Join(folder, filepath.Base(key)), files[key]); err != nil {
			return fmt.Errorf("write Secret %s: %w", secret.Name, err)
		}
	}
	w.wrote[secret.Name] = true
	return nil
}

// Delete implements SecretWriter.
func (w *folderSecrets) Delete(_ context.Context, name string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.wrote, name)
	if err := os.RemoveAll(filepath.Join(w.folder, filepath.Base(name))); err != nil {
		return fmt.Errorf("delete Secret %s: %w", name, err)
	}
	return nil
}

// Sweep implements SecretWriter.
func (w *folderSecrets) Sweep(ctx context.Context, cluster string, keep []string) error {
	entries, err := os.ReadDir(w.folder)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list Secrets: %w", err)
	}
	for _, e := range entries {
		w.mu.Lock()
		wrote := w.wrote[e.Name()]
		w.mu.Unlock()
		owner, err := os.ReadFile(filepath.Join(w.folder, e.Name(), clusterFile))
		if wrote || slices.Contains(keep, e.Name()) || err != nil || string(owner) != epic.LabelValue(cluster) {
			continue
		}
		if err := w.Delete(ctx, e.Name()); err != nil {
			return err
		}
	}
	return nil
}
