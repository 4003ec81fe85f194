// SPDX-License-Identifier: Apache-2.0

package nodes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/credential"
	"github.com/acnodal/epic/pkg/credential/nodeexchange"
)

const (
	// timeout limits one request, maxConcurrent the number of concurrent requests.
	timeout       = 15 * time.Second
	maxConcurrent = 32
	// pace and burst limit the total requests of all senders, and thus the load that
	// anybody in the cluster can cause on its API server. A thousand nodes that start get
	// their credentials within 20 s.
	pace, burst = 50, 100
	// A node can get a credential each nodeEvery, with a burst of nodeBurst.
	nodeEvery, nodeBurst = 10 * time.Second, 3
)

// Server issues credentials to nodes. It implements http.Handler.
type Server struct {
	// Authenticate returns the name of the node on which the pod with a token runs, like
	// Pods does.
	Authenticate func(ctx context.Context, token string) (node string, err error)
	// Node returns a node of the client cluster by its name.
	Node func(ctx context.Context, name string) (Node, error)
	// Token returns a token of a node's service account, like Accounts does.
	Token func(ctx context.Context, node Node) (account, token string, err error)
	// Credential returns the connector's own credential, for the server's address.
	Credential func() *credential.Credential

	once  sync.Once
	slots chan struct{}
	all   *rate.Limiter
	mu    sync.Mutex
	each  map[string]*rate.Limiter
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.once.Do(func() {
		s.slots, s.all, s.each = make(chan struct{}, maxConcurrent), rate.NewLimiter(pace, burst), map[string]*rate.Limiter{}
	})
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	answer, node, err := s.answer(ctx, r)
	if err == nil {
		issued.WithLabelValues("issued").Inc()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			klog.FromContext(ctx).V(1).Info("Can't send a node its credential", "node", node, "err", err)
		}
		return
	}
	status, result := http.StatusServiceUnavailable, "failed"
	var refused *refusalError
	if errors.As(err, &refused) {
		status, result = refused.status, "refused"
	}
	issued.WithLabelValues(result).Inc()
	if status != http.StatusTooManyRequests {
		klog.FromContext(ctx).Info("Refused a node a credential", "node", node, "remote", r.RemoteAddr, "err", err)
	}
	http.Error(w, err.Error(), status)
}

func (s *Server) answer(ctx context.Context, r *http.Request) (*nodeexchange.Answer, string, error) {
	switch {
	case r.URL.Path != nodeexchange.Path:
		return nil, "", Refuse(http.StatusNotFound, "unknown path: use %s", nodeexchange.Path)
	case r.Method != http.MethodPost:
		return nil, "", Refuse(http.StatusMethodNotAllowed, "send a POST request")
	case !s.all.Allow():
		return nil, "", Refuse(http.StatusTooManyRequests, "too many requests: try again later")
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return nil, "", Refuse(http.StatusTooManyRequests, "too many requests: try again later")
	}
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	name, err := s.Authenticate(ctx, token)
	if err != nil {
		return nil, "", err
	}
	if !s.mayAsk(name) {
		return nil, name, Refuse(http.StatusTooManyRequests, "node %s sends too many requests: try again in %s", name, nodeEvery)
	}
	node, err := s.Node(ctx, name)
	if err != nil {
		return nil, name, err
	}
	own := s.Credential()
	if own == nil {
		return nil, name, credential.ErrNone
	}
	account, text, err := s.Token(ctx, node)
	if err != nil {
		if apierrors.IsUnauthorized(err) || apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
			err = fmt.Errorf(`%w: if this cluster was disconnected, or was connected by an earlier release, ask the platform team to connect it again with "epicctl connect"`, err)
		}
		return nil, name, err
	}
	kubeconfig, err := own.ForUser(account, text)
	if err != nil {
		return nil, name, err
	}
	klog.FromContext(ctx).V(1).Info("Issued a credential to a node", "node", name, "address", node.Address)
	return &nodeexchange.Answer{Kubeconfig: kubeconfig, Address: node.Address.String()}, name, nil
}

// mayAsk reports whether a node may get another credential yet.
func (s *Server) mayAsk(node string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	limiter := s.each[node]
	if limiter == nil {
		for name, l := range s.each {
			// A limiter with all its tokens is equivalent to a new one.
			if l.Tokens() >= nodeBurst {
				delete(s.each, name)
			}
		}
		limiter = rate.NewLimiter(rate.Every(nodeEvery), nodeBurst)
		s.each[node] = limiter
	}
	return limiter.Allow()
}
