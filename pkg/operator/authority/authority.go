// SPDX-License-Identifier: Apache-2.0

// Package authority maintains EPIC's own certificate authorities: that of proxies, in one
// Secret of the gateway cluster or in a file on a host without Kubernetes, and that of a
// connector, in a Secret of its client cluster.
package authority

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/pki"
	"github.com/acnodal/epic/pkg/privatefile"
)

// SecretName is the name of the Secret in the operator's namespace.
const SecretName = "epic-proxy-authority" //nolint:gosec // a name

// interval is the time between two checks of the Place: for an authority that the leader
// created, and for one that has to be renewed.
const interval = time.Minute

// ErrExists means that another replica wrote first.
var ErrExists = errors.New("another replica wrote the authority")

// Place stores the authority's data.
type Place interface {
	// Load returns the data, nil if there is none, and a version for Save.
	Load(ctx context.Context) (data map[string][]byte, version string, err error)
	// Save replaces the given version of the data, or creates it if version is empty. It
	// returns ErrExists if the stored version has changed.
	Save(ctx context.Context, data map[string][]byte, version string) error
}

// Open returns the authority, and creates it if there is none.
func Open(ctx context.Context, place Place) (*pki.ProxyAuthority, error) {
	const tries = 5
	for range tries {
		data, _, err := place.Load(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the certificate authority: %w", err)
		}
		if data != nil {
			return pki.ParseProxyAuthority(data)
		}
		made, err := pki.NewProxyAuthority(time.Now())
		if err != nil {
			return nil, fmt.Errorf("create the certificate authority: %w", err)
		}
		err = place.Save(ctx, made.Data(), "")
		if err == nil {
			return made, nil
		}
		if !errors.Is(err, ErrExists) {
			return nil, fmt.Errorf("store the certificate authority: %w", err)
		}
	}
	return nil, fmt.Errorf("store the certificate authority: %w", ErrExists)
}

// Keep follows the place until ctx ends, and calls set with each new authority. While
// leads returns true, it renews the authority before it expires.
func Keep(ctx context.Context, place Place, leads func() bool, set func(*pki.ProxyAuthority)) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	last := ""
	for {
		if err := look(ctx, place, leads(), &last, set); err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "Keeping the current certificate authority")
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func look(ctx context.Context, place Place, leads bool, last *string, set func(*pki.ProxyAuthority)) error {
	data, version, err := place.Load(ctx)
	if err != nil || data == nil {
		return err
	}
	a, err := pki.ParseProxyAuthority(data)
	if err != nil {
		return err
	}
	if leads {
		next, changed, err := a.Rotate(time.Now())
		if err != nil {
			return err
		}
		if changed {
			if err := place.Save(ctx, next.Data(), version); err != nil {
				return err
			}
			klog.FromContext(ctx).Info("Completed a step in the replacement of the certificate authority")
			a, version = next, ""
		}
	}
	if version == "" || version != *last {
		set(a)
		*last = version
	}
	return nil
}

// Secret is a Place in a cluster.
type Secret struct {
	Client    kubernetes.Interface
	Namespace string
	// Name is the name of the Secret; SecretName if empty.
	Name string
	// Manager is the field manager; epic-operator if empty.
	Manager string
}

func (s *Secret) name() string { return cmp.Or(s.Name, SecretName) }

// Load implements Place.
func (s *Secret) Load(ctx context.Context) (map[string][]byte, string, error) {
	got, err := s.Client.CoreV1().Secrets(s.Namespace).Get(ctx, s.name(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	return got.Data, got.ResourceVersion, nil
}

// Save implements Place.
func (s *Secret) Save(ctx context.Context, data map[string][]byte, version string) error {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: s.name(), ResourceVersion: version},
		Type:       corev1.SecretTypeOpaque, Data: data,
	}
	var err error
	if version == "" {
		_, err = s.Client.CoreV1().Secrets(s.Namespace).Create(ctx, secret, metav1.CreateOptions{FieldManager: cmp.Or(s.Manager, "epic-operator")})
	} else {
		_, err = s.Client.CoreV1().Secrets(s.Namespace).Update(ctx, secret, metav1.UpdateOptions{FieldManager: cmp.Or(s.Manager, "epic-operator")})
	}
	if apierrors.IsAlreadyExists(err) || apierrors.IsConflict(err) {
		return ErrExists
	}
	return err
}

// File is a Place on a host without Kubernetes, which has one operator.
type File string

// Load implements Place.
func (f File) Load(context.Context) (map[string][]byte, string, error) {
	text, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	var data map[string][]byte
	if err := json.Unmarshal(text, &data); err != nil {
		return nil, "", fmt.Errorf("%s: %w: restore the file, or remove it and stop all proxies", f, err)
	}
	return data, string(data["promoted"]) + fmt.Sprint(len(data)), nil
}

// Save implements Place.
func (f File) Save(_ context.Context, data map[string][]byte, _ string) error {
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	return privatefile.Write(string(f), text)
}
