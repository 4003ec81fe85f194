// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
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
	// uid is the client cluster's.
	uid string
	run string
}

// APISecrets writes Secrets through an API server, for the client cluster of a UID.
func APISecrets(c client.Client, namespace, uid string) SecretWriter {
	return &apiSecrets{c, namespace, uid, string(uuid.NewUUID())}
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
	if w.uid != "" {
		// Another cluster may have the same name by mistake.
		same, err := labels.NewRequirement(publish.ClusterUIDKey, selection.Equals, []string{w.uid})
		if err != nil {
			return fmt.Errorf("select Secrets: %w", err)
		}
		selector.Selector = selector.Selector.Add(*same)
	}
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

// rewrite writes all Secrets again. They may have been deleted or changed, which the
// connector is not allowed to read.
func (k *secretKeeper) rewrite(ctx context.Context) error {
	k.mu.Lock()
	names := slices.Sorted(maps.Keys(k.has))
	k.mu.Unlock()
	var failed []error
	for _, name := range names {
		k.mu.Lock()
		if secret := k.has[name]; secret != nil {
			if err := k.writer.Apply(ctx, secret); err != nil {
				failed = append(failed, err)
			}
		}
		k.mu.Unlock()
	}
	return errors.Join(failed...)
}

// secretRunner removes, when it starts, the Secrets that became unneeded while the connector
// was away, and from time to time writes those that are needed again.
type secretRunner struct {
	*base
	synced func(context.Context) bool
}

// NeedLeaderElection indicates that one replica does it.
func (s *secretRunner) NeedLeaderElection() bool { return true }

// Start implements manager.Runnable.
func (s *secretRunner) Start(ctx context.Context) error {
	if !s.synced(ctx) {
		return nil
	}
	s.warnOfNamesakes(ctx)
	retry := wait.Backoff{Duration: time.Second, Factor: 2, Jitter: 0.2, Steps: 6, Cap: time.Minute}
	for swept := false; ; {
		work := s.sweep
		if swept {
			work = s.secrets.rewrite
		}
		err := work(ctx)
		after := wait.Jitter(s.options.RewriteSecrets, 0.2)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // the end of ctx is no failure
		case err != nil:
			after = retry.Step()
			klog.FromContext(ctx).Error(err, "Could not write all Secrets to EPIC; trying again", "after", after)
		default:
			swept = true
			retry.Duration, retry.Steps = time.Second, 6
			if s.options.RewriteSecrets <= 0 {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(after):
		}
	}
}

// sweep removes the Secrets of former runs. Another connector that works at the same time
// may have written some of them last: those that are needed are written once more.
func (s *secretRunner) sweep(ctx context.Context) error {
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
	if err := s.options.Secrets.Sweep(ctx, s.options.Cluster); err != nil {
		return err
	}
	return s.secrets.rewrite(ctx)
}

// warnOfNamesakes logs if another client cluster publishes under this one's name. The
// connectors leave each other's objects alone, but people can't tell them apart.
func (s *secretRunner) warnOfNamesakes(ctx context.Context) {
	var proxies epicv1.GWProxyList
	var balancers epicv1.LoadBalancerList
	if s.epic.List(ctx, &proxies, client.UnsafeDisableDeepCopy) != nil || s.epic.List(ctx, &balancers, client.UnsafeDisableDeepCopy) != nil {
		return
	}
	var others []client.Object
	for i := range proxies.Items {
		others = append(others, &proxies.Items[i])
	}
	for i := range balancers.Items {
		others = append(others, &balancers.Items[i])
	}
	for _, o := range others {
		if s.remote.namesake(o) && !s.remote.mine(o) {
			klog.FromContext(ctx).Error(nil, "Another client cluster has published under this cluster's name. Give one of them another name; "+
				"or, if this one replaces it, start the connector with --former-clusters="+s.options.Cluster,
				"cluster", s.options.Cluster, "object", kindOf(o)+"/"+o.GetName(), "uid", o.GetAnnotations()[publish.ClusterUIDKey], "ownUID", s.options.ClusterUID)
			return
		}
	}
}
