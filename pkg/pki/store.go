// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/acnodal/epic/pkg/privatefile"
)

const (
	// AdminUser is the name in the administrator's client certificate.
	AdminUser = "epic-admin"

	authorityLife   = 10 * 365 * 24 * time.Hour
	certificateLife = 365 * 24 * time.Hour
	// renewalInterval is the interval at which a running server checks for certificates
	// near their end. At that point, they have a third of a year left.
	renewalInterval = 12 * time.Hour
)

// Store is a directory with the authority, the serving certificate and the
// administrator's certificate.
type Store struct {
	dir       string
	names     []string
	addresses []net.IP
	clock     clock.WithTicker

	ca, serving, admin *issued
}

// Open reads the directory and creates certificates that are missing, near their end, or
// not valid for one of the server's names and addresses.
func Open(ctx context.Context, dir string, names []string, addresses []net.IP) (*Store, error) {
	return open(ctx, dir, names, addresses, clock.RealClock{})
}

func open(ctx context.Context, dir string, names []string, addresses []net.IP, clock clock.WithTicker) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("can't create the directory for certificates: %w", err)
	}
	s := &Store{dir: dir, names: names, addresses: addresses, clock: clock}
	_, err := s.refresh(ctx)
	return s, err
}

// refresh updates all three pairs and reports whether one changed.
func (s *Store) refresh(ctx context.Context) (changed bool, err error) {
	now := s.clock.Now()
	ca, caChanged, err := s.ensure(ctx, "ca", now, func(*issued) bool { return true },
		func() (*issued, error) { return issue(authorityTemplate(), nil, now, authorityLife) })
	if err != nil {
		return false, err
	}
	signed := func(i *issued) bool { return bytes.Equal(i.cert.AuthorityKeyId, ca.cert.SubjectKeyId) }
	serving, servingChanged, err := s.ensure(ctx, "serving", now,
		func(i *issued) bool { return signed(i) && i.covers(s.names, s.addresses) },
		func() (*issued, error) {
			return issue(servingTemplate(s.names, s.addresses), ca, now, certificateLife)
		})
	if err != nil {
		return false, err
	}
	admin, adminChanged, err := s.ensure(ctx, "admin", now, signed,
		func() (*issued, error) {
			return issue(clientTemplate(AdminUser, user.SystemPrivilegedGroup), ca, now, certificateLife)
		})
	if err != nil {
		return false, err
	}
	s.ca, s.serving, s.admin = ca, serving, admin
	return caChanged || servingChanged || adminChanged, nil
}

// ensure returns the pair with a name, and creates it if there is no valid one.
func (s *Store) ensure(ctx context.Context, name string, now time.Time, valid func(*issued) bool, create func() (*issued, error)) (*issued, bool, error) {
	files := pairIn(s.dir, name)
	found, err := load(files)
	if err != nil {
		return nil, false, fmt.Errorf("can't read the %s certificate: %w", name, err)
	}
	if found != nil && Fresh(found.cert, now) && valid(found) {
		return found, false, nil
	}
	made, err := create()
	if err != nil {
		return nil, false, err
	}
	if err := files.write(made.certPEM, made.keyPEM); err != nil {
		return nil, false, err
	}
	if found != nil {
		klog.FromContext(ctx).Info("Renewed a certificate", "certificate", name, "file", files.certFile, "expires", made.cert.NotAfter)
	}
	return made, true, nil
}

// Renew renews the certificates until ctx ends, and calls changed after each renewal. The
// server reloads the files itself.
func (s *Store) Renew(ctx context.Context, changed func() error) {
	logger := klog.FromContext(ctx)
	ticker := s.clock.NewTicker(renewalInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
		}
		renewed, err := s.refresh(ctx)
		if err == nil && renewed {
			err = changed()
		}
		if err != nil {
			logger.Error(err, "Could not renew the certificates", "retryAfter", renewalInterval)
		}
	}
}

// CAFile returns the file with the authority's certificate.
func (s *Store) CAFile() string { return pairIn(s.dir, "ca").certFile }

// ServingFiles returns the files of the serving certificate and its key.
func (s *Store) ServingFiles() (certFile, keyFile string) {
	p := pairIn(s.dir, "serving")
	return p.certFile, p.keyFile
}

// WriteKubeconfig writes a kubeconfig with which the administrator reaches the
// server at that URL.
func (s *Store) WriteKubeconfig(path, server string) error {
	content, err := kubeconfig(server, s.ca.certPEM, s.admin.certPEM, s.admin.keyPEM)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("can't create the directory of the kubeconfig: %w", err)
	}
	return privatefile.Write(path, content)
}
