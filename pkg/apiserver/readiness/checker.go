// SPDX-License-Identifier: Apache-2.0

package readiness

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/server/healthz"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/klog/v2"
)

const (
	// whileMissing is short, because somebody is probably repairing the role.
	whileMissing = 5 * time.Second
	// whileComplete detects a role that is changed while the server runs.
	whileComplete = 2 * time.Minute
	// askTimeout limits one request.
	askTimeout = 10 * time.Second
)

var errNotAsked = errors.New("the kube-apiserver has not been queried yet")

// Checker checks which of its permissions a server has.
type Checker struct {
	reviews     authorizationclient.SelfSubjectAccessReviewInterface
	permissions []Permission

	mu      sync.Mutex
	results []error
}

// NewChecker returns a checker that has not checked anything yet.
func NewChecker(reviews authorizationclient.SelfSubjectAccessReviewInterface, permissions []Permission) *Checker {
	c := &Checker{reviews: reviews, permissions: permissions, results: make([]error, len(permissions))}
	for i := range c.results {
		c.results[i] = errNotAsked
	}
	return c
}

// HealthChecks returns a check for each permission. Checks return the latest result of
// Run, so frequent probes put no load on the kube-apiserver.
func (c *Checker) HealthChecks() []healthz.HealthChecker {
	checks := make([]healthz.HealthChecker, len(c.permissions))
	for i, p := range c.permissions {
		checks[i] = healthz.NamedCheck(p.CheckName(), func(*http.Request) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.results[i]
		})
	}
	return checks
}

// Run checks all permissions periodically until ctx ends.
func (c *Checker) Run(ctx context.Context) {
	for {
		pause := whileComplete
		if !c.ask(ctx) {
			pause = whileMissing
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// ask checks each permission and reports whether all are granted. It logs changes.
func (c *Checker) ask(ctx context.Context) bool {
	logger := klog.FromContext(ctx)
	complete := true
	for i, p := range c.permissions {
		err := c.askOne(ctx, p)
		complete = complete && err == nil
		c.mu.Lock()
		before := c.results[i]
		c.results[i] = err
		c.mu.Unlock()
		switch {
		case err != nil && (before == nil || before.Error() != err.Error()):
			logger.Error(err, "A permission is missing", "permission", p.String())
		case err == nil && before != nil && !errors.Is(before, errNotAsked):
			logger.Info("A missing permission was granted", "permission", p.String())
		}
	}
	return complete
}

func (c *Checker) askOne(ctx context.Context, p Permission) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	review, err := c.reviews.Create(ctx, p.review(), metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("can't check with the kube-apiserver whether this server may %s: %w", p, err)
	}
	if !review.Status.Allowed {
		return p.missing()
	}
	return nil
}
