// SPDX-License-Identifier: Apache-2.0

// Package secretfolder reads TLS Secrets from a directory, for a gateway without
// Kubernetes: the file NAMESPACE/NAME/KEY corresponds to the key KEY of a Secret. It
// follows symbolic links, which tools that renew certificates create. These replace a certificate
// and its key one after the other: until both are replaced, the former pair counts.
package secretfolder

import (
	"context"
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/clock"
)

const (
	// interval is the interval at which the directory is checked for changes.
	interval = 2 * time.Second
	// settle is how long the files of a certificate and its key may take to match again.
	settle = 2 * interval
	// maxFile limits a file: a Secret has at most 1 MiB.
	maxFile = 1 << 20
)

// Folder is a directory of Secrets.
type Folder struct {
	dir   string
	clock clock.PassiveClock

	mu sync.Mutex
	// stamps holds the stamps of the Secrets that were requested, by NAMESPACE/NAME.
	stamps map[string]string
	// pairs holds the last version of each Secret whose certificate and key matched.
	pairs map[string]*pair
}

// pair is a Secret whose certificate and key match.
type pair struct {
	secret *corev1.Secret
	// broken is when its files were first read that did not match.
	broken time.Time
}

// New returns a Folder for a directory, which need not exist.
func New(dir string) *Folder {
	return &Folder{dir: dir, clock: clock.RealClock{}, stamps: map[string]string{}, pairs: map[string]*pair{}}
}

// Get returns a Secret, or nil if it does not exist. While its certificate and its key are being
// replaced, it returns the previous Secret.
func (f *Folder) Get(namespace, name string) *corev1.Secret {
	if len(validation.IsDNS1123Label(namespace)) > 0 || len(validation.IsDNS1123Subdomain(name)) > 0 {
		return nil // reject paths outside the directory
	}
	key, dir := namespace+"/"+name, filepath.Join(f.dir, namespace, name)
	f.mu.Lock()
	f.stamps[key] = stamp(dir)
	f.mu.Unlock()
	return f.settled(key, read(dir, namespace, name))
}

// settled returns a Secret as it was read, or its previous version while it is being replaced.
// In the second case, look reports the Secret until its files match again or settle has passed.
func (f *Folder) settled(key string, now *corev1.Secret) *corev1.Secret {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now == nil {
		delete(f.pairs, key)
		return nil
	}
	if _, err := tls.X509KeyPair(now.Data[corev1.TLSCertKey], now.Data[corev1.TLSPrivateKeyKey]); err == nil {
		f.pairs[key] = &pair{secret: now}
		return now
	}
	former := f.pairs[key]
	if former == nil {
		return now
	}
	if former.broken.IsZero() {
		former.broken = f.clock.Now()
	}
	if f.clock.Since(former.broken) >= settle {
		delete(f.pairs, key)
		return now
	}
	f.stamps[key] = ""
	return former.secret
}

// read returns the Secret in a directory, or nil if there is none.
func read(dir, namespace, name string) *corev1.Secret {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Type: corev1.SecretTypeOpaque, Data: map[string][]byte{},
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || info.Size() > maxFile {
			continue
		}
		if data, err := os.ReadFile(path); err == nil {
			secret.Data[e.Name()] = data
		}
	}
	if len(secret.Data[corev1.TLSCertKey]) > 0 && len(secret.Data[corev1.TLSPrivateKeyKey]) > 0 {
		secret.Type = corev1.SecretTypeTLS
	}
	if len(secret.Data) == 0 {
		return nil
	}
	return secret
}

// Watch calls changed when a Secret that was requested has changed, until ctx ends.
func (f *Folder) Watch(ctx context.Context, changed func(namespace, name string)) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, key := range f.look() {
			namespace, name, _ := strings.Cut(key, "/")
			changed(namespace, name)
		}
	}
}

// look returns the Secrets that have changed since they were read.
func (f *Folder) look() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var keys []string
	for key, before := range f.stamps {
		if now := stamp(filepath.Join(f.dir, filepath.FromSlash(key))); now != before {
			f.stamps[key] = now
			keys = append(keys, key)
		}
	}
	return keys
}

// stamp returns a value that changes with the content of a directory.
func stamp(dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ""
	}
	var b strings.Builder
	for _, e := range entries {
		if info, err := os.Stat(filepath.Join(dir, e.Name())); err == nil {
			b.WriteString(e.Name() + " " + info.ModTime().String() + "\n")
		}
	}
	return b.String()
}
