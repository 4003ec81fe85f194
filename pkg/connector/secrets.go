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
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/util/uuid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/connector/publish"
	"github.com/acnodal/epic/pkg/privatefile"
)

// SecretWriter writes Secrets to the account's namespace in EPIC. It can't read them.
type SecretWriter interface {
	// Apply makes a Secret what it should be.
	Apply(ctx context.Context, secret *corev1.Secret) error
	// Delete removes a Secret.
	Delete(ctx context.Context, name string) error
	// Sweep removes the Secrets of a cluster that were not written since the writer was made.
	Sweep(ctx context.Context, cluster string) error
}

// runLabel is the run of the connector that wrote a Secret last.
const runLabel = epic.LabelPrefix + "connector-run"

// apiSecrets writes Secrets of the Kubernetes cluster that EPIC's API is part of.
type apiSecrets struct {
	client    client.Client
	namespace string
	run       string
}

// APISecrets writes Secrets through an API server.
func APISecrets(c client.Client, namespace string) SecretWriter {
	return &apiSecrets{c, namespace, string(uuid.NewUUID())}
}

// Apply implements SecretWriter.
func (w *apiSecrets) Apply(ctx context.Context, secret *corev1.Secret) error {
	secret = secret.DeepCopy()
	secret.Labels[runLabel] = w.run
	// A digest of a key is nobody's business.
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
func (w *apiSecrets) Sweep(ctx context.Context, cluster string) error {
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
	if err := w.client.DeleteAllOf(ctx, &corev1.Secret{}, client.InNamespace(w.namespace), selector); err != nil {
		return fmt.Errorf("delete Secrets of former runs: %w", err)
	}
	return nil
}

// folderSecrets writes Secrets as files, for an operator that runs without Kubernetes.
type folderSecrets struct {
	folder string
	mu     sync.Mutex
	wrote  map[string]bool
}

// FolderSecrets writes each Secret as a folder FOLDER/NAMESPACE/NAME of files.
func FolderSecrets(folder, namespace string) SecretWriter {
	return &folderSecrets{folder: filepath.Join(folder, namespace), wrote: map[string]bool{}}
}

// clusterFile holds in the folder of a Secret the cluster that it is of.
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
func (w *folderSecrets) Sweep(ctx context.Context, cluster string) error {
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
		if wrote || err != nil || string(owner) != epic.LabelValue(cluster) {
			continue
		}
		if err := w.Delete(ctx, e.Name()); err != nil {
			return err
		}
	}
	return nil
}

// secretKeeper writes each Secret once for all objects that need it, and removes it with
// the last of them.
type secretKeeper struct {
	writer SecretWriter
	mu     sync.Mutex
	// has are the Secrets that were written, users who needs them.
	has   map[string]*corev1.Secret
	users map[string]map[string]bool
}

func newSecretKeeper(writer SecretWriter) *secretKeeper {
	return &secretKeeper{writer: writer, has: map[string]*corev1.Secret{}, users: map[string]map[string]bool{}}
}

// apply writes the Secrets that an object needs.
func (k *secretKeeper) apply(ctx context.Context, user string, secrets []*corev1.Secret) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, secret := range secrets {
		if has := k.has[secret.Name]; has == nil || !equality.Semantic.DeepEqual(has, secret) {
			if err := k.writer.Apply(ctx, secret); err != nil {
				return err
			}
			k.has[secret.Name] = secret
		}
		if k.users[secret.Name] == nil {
			k.users[secret.Name] = map[string]bool{}
		}
		k.users[secret.Name][user] = true
	}
	return nil
}

// release removes the Secrets that an object needed before and no longer needs.
func (k *secretKeeper) release(ctx context.Context, user string, needed []*corev1.Secret) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	keep := map[string]bool{}
	for _, secret := range needed {
		keep[secret.Name] = true
	}
	for name, users := range k.users {
		if keep[name] || !users[user] {
			continue
		}
		if len(users) == 1 {
			if err := k.writer.Delete(ctx, name); err != nil {
				return err
			}
			delete(k.has, name)
			delete(k.users, name)
			continue
		}
		delete(users, user)
	}
	return nil
}

// sweeper removes Secrets that nobody needs any more since the connector was away.
type sweeper struct {
	*base
	synced func(context.Context) bool
}

// NeedLeaderElection says that one replica does it.
func (s *sweeper) NeedLeaderElection() bool { return true }

// Start implements manager.Runnable.
func (s *sweeper) Start(ctx context.Context) error {
	if !s.synced(ctx) {
		return nil
	}
	config, err := s.config(ctx)
	if err != nil {
		return err
	}
	v := s.view(ctx)
	for _, name := range allGateways(v, nil) {
		if gateway := v.Gateway(name); gateway != nil {
			if r := publish.Gateway(config, v, gateway, publish.Remote{}); r != nil {
				if err := s.secrets.apply(ctx, "Gateway/"+name.String(), r.Secrets); err != nil {
					return err
				}
			}
		}
	}
	for _, route := range v.routes() {
		r := route.Publish(config, v, publish.RemoteRoute{})
		if err := s.secrets.apply(ctx, string(route.Kind)+"/"+route.GetNamespace()+"/"+route.GetName(), r.Secrets); err != nil {
			return err
		}
	}
	return s.options.Secrets.Sweep(ctx, s.options.Cluster)
}
