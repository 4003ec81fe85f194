// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"fmt"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// Size returns the size of an object in the database, in bytes.
type Size func(obj runtime.Object) (int64, error)

// Limits are the storage limits of one account. Zero means no limit if a server sets it,
// and an allowance of zero if an Account does.
type Limits struct {
	Objects int64
	Bytes   int64
}

// Tracker tracks what each account stores.
type Tracker struct {
	size     Size
	defaults Limits

	mu       sync.Mutex
	accounts map[string]*account
}

// account is the usage of one account's namespace.
type account struct {
	// sizes holds the sizes of the objects in bytes, by resource and name.
	sizes map[objectKey]int64
	bytes int64
	// objectLimit and byteLimit are the limits that the Account sets.
	objectLimit, byteLimit *int64
}

type objectKey struct{ resource, name string }

// NewTracker returns an empty tracker. The defaults apply to accounts that set no limits.
func NewTracker(defaults Limits, size Size) *Tracker {
	return &Tracker{size: size, defaults: defaults, accounts: map[string]*account{}}
}

// isAccount reports whether a namespace belongs to an account. The namespace of the
// platform team has no limit.
func isAccount(namespace string) bool {
	return strings.HasPrefix(namespace, epic.AccountNamespacePrefix)
}

// use is the usage of an account and its limits.
type use struct {
	objects, bytes         int64
	objectLimit, byteLimit int64
}

// use returns the usage of a namespace. A negative limit is no limit.
func (t *Tracker) use(namespace string) use {
	t.mu.Lock()
	defer t.mu.Unlock()
	u := use{objectLimit: unlessZero(t.defaults.Objects), byteLimit: unlessZero(t.defaults.Bytes)}
	a := t.accounts[namespace]
	if a == nil {
		return u
	}
	u.objects, u.bytes = int64(len(a.sizes)), a.bytes
	if a.objectLimit != nil {
		u.objectLimit = *a.objectLimit
	}
	if a.byteLimit != nil {
		u.byteLimit = *a.byteLimit
	}
	return u
}

func unlessZero(n int64) int64 {
	if n == 0 {
		return -1
	}
	return n
}

// each calls f with the usage of every account.
func (t *Tracker) each(f func(account string, u use)) {
	t.mu.Lock()
	var namespaces []string
	for ns := range t.accounts {
		namespaces = append(namespaces, ns)
	}
	t.mu.Unlock()
	for _, ns := range namespaces {
		f(strings.TrimPrefix(ns, epic.AccountNamespacePrefix), t.use(ns))
	}
}

// account returns the record of a namespace. The caller holds the lock.
func (t *Tracker) account(namespace string) *account {
	a := t.accounts[namespace]
	if a == nil {
		a = &account{sizes: map[objectKey]int64{}}
		t.accounts[namespace] = a
	}
	return a
}

// forget removes the record of a namespace without objects. The caller holds the lock.
func (t *Tracker) forget(namespace string) {
	if a := t.accounts[namespace]; a != nil && len(a.sizes) == 0 && a.objectLimit == nil && a.byteLimit == nil {
		delete(t.accounts, namespace)
	}
}

// set records the size of an object.
func (t *Tracker) set(resource string, obj runtime.Object) error {
	m, err := meta.Accessor(obj)
	if err != nil {
		return err
	}
	if !isAccount(m.GetNamespace()) {
		return nil
	}
	if a, ok := obj.(*epic.Account); ok {
		t.setLimits(a)
		return nil
	}
	n, err := t.size(obj)
	if err != nil {
		return fmt.Errorf("measure %s %s/%s: %w", resource, m.GetNamespace(), m.GetName(), err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	a, key := t.account(m.GetNamespace()), objectKey{resource, m.GetName()}
	a.bytes += n - a.sizes[key]
	a.sizes[key] = n
	return nil
}

func (t *Tracker) setLimits(obj *epic.Account) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.account(obj.Namespace)
	a.objectLimit, a.byteLimit = nil, nil
	if n := obj.Spec.ObjectLimit; n != nil {
		wide := int64(*n)
		a.objectLimit = &wide
	}
	if n := obj.Spec.StorageLimitBytes; n != nil {
		wide := *n
		a.byteLimit = &wide
	}
	t.forget(obj.Namespace)
}

// remove removes the record of an object.
func (t *Tracker) remove(resource, namespace, name string) {
	if !isAccount(namespace) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.accounts[namespace]
	if a == nil {
		return
	}
	if resource == epic.ResourceAccounts {
		a.objectLimit, a.byteLimit = nil, nil
	} else {
		key := objectKey{resource, name}
		a.bytes -= a.sizes[key]
		delete(a.sizes, key)
	}
	t.forget(namespace)
}

// replace replaces the records of a resource by those of the objects in a list.
func (t *Tracker) replace(resource string, objs []runtime.Object) error {
	listed := map[string]map[string]bool{}
	for _, obj := range objs {
		m, err := meta.Accessor(obj)
		if err != nil {
			return err
		}
		if listed[m.GetNamespace()] == nil {
			listed[m.GetNamespace()] = map[string]bool{}
		}
		listed[m.GetNamespace()][m.GetName()] = true
		if err := t.set(resource, obj); err != nil {
			return err
		}
	}
	for _, gone := range t.unlisted(resource, listed) {
		t.remove(resource, gone[0], gone[1])
	}
	return nil
}

func (t *Tracker) unlisted(resource string, listed map[string]map[string]bool) (gone [][2]string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for ns, a := range t.accounts {
		if resource == epic.ResourceAccounts && listed[ns] == nil {
			gone = append(gone, [2]string{ns, ""})
		}
		for key := range a.sizes {
			if key.resource == resource && !listed[ns][key.name] {
				gone = append(gone, [2]string{ns, key.name})
			}
		}
	}
	return gone
}
