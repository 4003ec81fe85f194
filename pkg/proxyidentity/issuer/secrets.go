// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"sync"

	"github.com/acnodal/epic/pkg/proxyidentity"
)

// Secrets authenticates processes that the caller starts. Each start gets one secret,
// which is valid for one certificate. A process renews its certificate by presenting it.
type Secrets struct {
	// Used, if set, is called after a secret was used, without a lock. The caller may
	// issue the next one, for a restart of the process.
	Used func(proxyidentity.Identity)

	mu sync.Mutex
	// secrets is keyed by digests, so a lookup takes the same time for any guess.
	secrets map[[sha256.Size]byte]*secret
	// running holds the identities that may renew.
	running map[proxyidentity.Identity]bool
}

type secret struct {
	id   proxyidentity.Identity
	used bool
}

// NewSecrets returns an authenticator without processes.
func NewSecrets() *Secrets {
	return &Secrets{secrets: map[[sha256.Size]byte]*secret{}, running: map[proxyidentity.Identity]bool{}}
}

// Issue returns a new secret for a process that is about to start, and invalidates its
// earlier ones.
func (s *Secrets) Issue(id proxyidentity.Identity) string {
	text := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(id)
	s.running[id] = true
	s.secrets[sha256.Sum256([]byte(text))] = &secret{id: id}
	return text
}

// Allow lets a process renew that was started by an earlier run of the caller.
func (s *Secrets) Allow(id proxyidentity.Identity) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running[id] = true
}

// Revoke removes a process: it gets no further certificate.
func (s *Secrets) Revoke(id proxyidentity.Identity) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, id)
	s.forget(id)
}

// forget removes the secrets of a process. A few used ones are kept while the process may
// run, so using one again returns a clear error. The caller holds mu.
func (s *Secrets) forget(id proxyidentity.Identity) {
	const keep = 8
	used := 0
	for digest, secret := range s.secrets {
		if secret.id != id {
			continue
		}
		if secret.used && s.running[id] && used < keep {
			used++
			continue
		}
		delete(s.secrets, digest)
	}
}

// Authenticate implements Authenticator.
func (s *Secrets) Authenticate(_ context.Context, e Evidence) (proxyidentity.Identity, error) {
	id, err := s.authenticate(e)
	if err == nil && e.Certificate == nil && s.Used != nil {
		s.Used(id)
	}
	return id, err
}

func (s *Secrets) authenticate(e Evidence) (proxyidentity.Identity, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id := e.Certificate; id != nil {
		if id.Namespace != e.Namespace || id.Pod != e.Pod {
			return proxyidentity.Identity{}, refuse(OtherPod, "the certificate belongs to %s, not of pod %.253s/%.253s", id, e.Namespace, e.Pod)
		}
		if !s.running[*id] {
			return proxyidentity.Identity{}, refuse(NotRunning, "%s should not be running", id)
		}
		return *id, nil
	}
	if e.Token == "" {
		return proxyidentity.Identity{}, refuse(NoToken, "the request has neither a secret nor a certificate")
	}
	found := s.secrets[sha256.Sum256([]byte(e.Token))]
	switch {
	case found == nil:
		return proxyidentity.Identity{}, refuse(InvalidToken, "the secret is unknown or outdated: the program that starts the proxy writes a new secret for each start")
	case found.used:
		return proxyidentity.Identity{}, refuse(ReusedSecret, "the secret was used before: it is valid for one start of %s", found.id)
	case found.id.Namespace != e.Namespace || found.id.Pod != e.Pod:
		return proxyidentity.Identity{}, refuse(OtherPod, "the secret belongs to another process than %.253s/%.253s", e.Namespace, e.Pod)
	}
	found.used = true
	return found.id, nil
}
