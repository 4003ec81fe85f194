// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/connector/publish"
	"github.com/acnodal/epic/pkg/secretrefs"
)

// secretKeeper writes each Secret once for all objects that need it, and removes it with
// the last of them. While a proxy in EPIC refers to a Secret, it is kept: a shared proxy
// has this cluster's certificates until its next owner has written its own, and the
// operator learns of proxies and of Secrets in any order.
type secretKeeper struct {
	writer SecretWriter
	// cluster is this cluster's ID.
	cluster string
	// epic reads the proxies.
	epic client.Reader
	mu   sync.Mutex
	// has holds the Secrets that were written, users the objects that need them.
	has   map[string]*corev1.Secret
	users map[string]map[string]bool
	// lent holds Secrets in has without a user to which a proxy refers, former those of
	// an earlier run. The value is true if no proxy referred to it when settle last ran.
	lent, former map[string]bool
}

func newSecretKeeper(writer SecretWriter, cluster string, epic client.Reader) *secretKeeper {
	return &secretKeeper{
		writer: writer, cluster: cluster, epic: epic,
		has: map[string]*corev1.Secret{}, users: map[string]map[string]bool{}, lent: map[string]bool{}, former: map[string]bool{},
	}
}

// used returns the names of the Secrets to which proxies in EPIC refer, of all clusters
// of the account.
func (k *secretKeeper) used(ctx context.Context) (map[string]bool, error) {
	var proxies epicv1.GWProxyList
	if err := k.epic.List(ctx, &proxies, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list GWProxies: %w", err)
	}
	used := map[string]bool{}
	for i := range proxies.Items {
		for _, name := range secretrefs.Of(&proxies.Items[i]) {
			used[name] = true
		}
	}
	return used, nil
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
		delete(k.lent, secret.Name)
		delete(k.former, secret.Name)
	}
	return nil
}

// release removes the Secrets that an object no longer needs.
func (k *secretKeeper) release(ctx context.Context, user string, needed []*corev1.Secret) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	keep := map[string]bool{}
	for _, secret := range needed {
		keep[secret.Name] = true
	}
	var last []string
	for name, users := range k.users {
		switch {
		case keep[name] || !users[user]:
		case len(users) == 1:
			last = append(last, name)
		default:
			delete(users, user)
		}
	}
	if len(last) == 0 {
		return nil
	}
	used, err := k.used(ctx)
	if err != nil {
		return err
	}
	slices.Sort(last)
	for _, name := range last {
		if used[name] {
			k.lent[name] = false
		} else if err := k.remove(ctx, name); err != nil {
			return err
		}
		delete(k.users, name)
	}
	return nil
}

func (k *secretKeeper) remove(ctx context.Context, name string) error {
	if err := k.writer.Delete(ctx, name); err != nil {
		return err
	}
	delete(k.has, name)
	delete(k.lent, name)
	return nil
}

// sweep removes this cluster's Secrets of earlier runs to which no proxy refers.
func (k *secretKeeper) sweep(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	used, err := k.used(ctx)
	if err != nil {
		return err
	}
	clear(k.former)
	for name := range used {
		if publish.IsSecretOf(name, k.cluster) && k.has[name] == nil {
			k.former[name] = false
		}
	}
	return k.writer.Sweep(ctx, k.cluster, slices.Sorted(maps.Keys(k.former)))
}

// settle removes the lent Secrets to which no proxy refers now or referred when it last
// ran: before that, the operator might learn of the removal of the Secret and not of the
// change of the proxy.
func (k *secretKeeper) settle(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.lent)+len(k.former) == 0 {
		return nil
	}
	used, err := k.used(ctx)
	if err != nil {
		return err
	}
	var failed []error
	for _, name := range unused(k.lent, used) {
		failed = append(failed, k.remove(ctx, name))
	}
	if gone := unused(k.former, used); len(gone) > 0 {
		kept := slices.DeleteFunc(slices.Sorted(maps.Keys(k.former)), func(name string) bool { return slices.Contains(gone, name) })
		if err := k.writer.Sweep(ctx, k.cluster, kept); err != nil {
			return errors.Join(append(failed, err)...)
		}
		for _, name := range gone {
			delete(k.former, name)
		}
	}
	return errors.Join(failed...)
}

// unused records which of the Secrets are used, and returns those that were not used the
// last time either.
func unused(secrets, used map[string]bool) []string {
	var names []string
	for name, before := range secrets {
		if before && !used[name] {
			names = append(names, name)
		}
		secrets[name] = !used[name]
	}
	slices.Sort(names)
	return names
}

// rewrite writes all Secrets again. They may have been deleted or changed, which the
// connector is not permitted to read.
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
