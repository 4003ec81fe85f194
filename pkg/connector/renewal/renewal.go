// SPDX-License-Identifier: Apache-2.0

// Package renewal renews the connector's own credential for EPIC. The connector requests a
// token of its own service account from EPIC, stores it in a Secret of the client cluster,
// and uses it from then on.
package renewal

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/credential"
)

const (
	// Lifetime is the lifetime of a token, if EPIC's cluster allows it: the maximum
	// duration of an outage of EPIC.
	Lifetime = 30 * 24 * time.Hour
	// A token is renewed when a third of its lifetime has passed, and at least each
	// renewEvery.
	renewEvery = 24 * time.Hour
	// After a failure, the delay is retry, and then twice as long each time.
	retry, retryAtMost = 5 * time.Second, 5 * time.Minute
	// afterRenewal is the minimum time until the next renewal.
	afterRenewal = time.Hour
	// look is the interval at which the time of the next renewal is checked, because
	// clocks can jump.
	look = 30 * time.Second
	// skew is how far this host's clock may be behind EPIC's.
	skew = 5 * time.Minute
)

var (
	expiry = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: epic.MetricsNamespace, Subsystem: "connector", Name: "credential_expiry_timestamp_seconds",
		Help: "Time when the connector's credential for EPIC expires, in seconds since 1970.",
	}, nil)
	renewals = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: epic.MetricsNamespace, Subsystem: "connector", Name: "credential_renewals_total",
		Help: "Renewals of the connector's credential for EPIC, by result: renewed or failed.",
	}, []string{"result"})
)

func init() { metrics.Registry.MustRegister(expiry, renewals) }

// Observe sets the metric for a credential's expiry.
func Observe(c *credential.Credential) {
	if c != nil && !c.Expires.IsZero() {
		expiry.WithLabelValues().Set(float64(c.Expires.Unix()))
	}
}

// Renewer renews a credential. It implements controller-runtime's Runnable.
type Renewer struct {
	// Transport has the credential.
	Transport *credential.Transport
	// Client is a client of EPIC's cluster with that transport.
	Client kubernetes.Interface
	// Store saves a kubeconfig for the connector's other replicas and its next start.
	Store func(ctx context.Context, kubeconfig []byte) error

	// now is the host's clock, time.Now by default.
	now func() time.Time
	// failure is the error of the last attempt, or nil if it succeeded.
	failure atomic.Pointer[error]
}

// Failure returns the error of the last renewal, or nil if it succeeded.
func (r *Renewer) Failure() error {
	if err := r.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: one replica renews, and
// the others read the stored result.
func (r *Renewer) NeedLeaderElection() bool { return true }

// Start implements manager.Runnable.
func (r *Renewer) Start(ctx context.Context) error {
	failures := 0
	var current *credential.Credential
	var since time.Time
	for {
		pause := look
		c := r.Transport.Credential()
		if c != current {
			current, since, failures = c, time.Now(), 0
			r.failure.Store(nil)
		}
		if r.due(c, time.Since(since)) {
			if err := r.renew(ctx); err != nil && ctx.Err() == nil {
				renewals.WithLabelValues("failed").Inc()
				if failures == 0 {
					klog.FromContext(ctx).Error(err, "Can't renew the credential for EPIC, trying again", "expires", c.Expires)
				}
				r.failure.Store(&err)
				pause = min(retry<<min(failures, 8), retryAtMost)
				failures++
			} else {
				r.failure.Store(nil)
				// Regardless of this host's clock.
				failures, pause = 0, afterRenewal
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// due reports whether to renew a credential that this process has held for some time.
// That duration is independent of clock changes, so it compensates for a clock that is
// behind, which would otherwise let the credential expire. If the credential was issued
// in the future according to the clock, the clock is certainly behind.
func (r *Renewer) due(c *credential.Credential, held time.Duration) bool {
	at, ok := Due(c)
	if !ok {
		return false
	}
	now := time.Now()
	if r.now != nil {
		now = r.now()
	}
	return !now.Before(at) || now.Before(c.Issued.Add(-skew)) || held >= at.Sub(c.Issued)
}

// Due returns when a credential must be renewed. It returns false for one that can't be
// renewed: because it is not a token of a service account, or because it does not expire.
func Due(c *credential.Credential) (time.Time, bool) {
	if c == nil || c.Issued.IsZero() || c.Expires.IsZero() || !c.Expires.After(c.Issued) {
		return time.Time{}, false
	}
	if _, _, err := serviceaccount.SplitUsername(c.User); err != nil {
		return time.Time{}, false
	}
	return c.Issued.Add(min(c.Expires.Sub(c.Issued)/3, renewEvery)), true
}

func (r *Renewer) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	now := r.Transport.Credential()
	namespace, name, err := serviceaccount.SplitUsername(now.User)
	if err != nil {
		return err
	}
	answer, err := r.Client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To(int64(Lifetime / time.Second))},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("get a token of the service account %s in EPIC: %w", name, err)
	}
	kubeconfig, err := now.WithToken(answer.Status.Token)
	if err != nil {
		return err
	}
	fresh, err := credential.Parse(kubeconfig, "/")
	if err != nil {
		return err
	}
	// Store it first: a token that is not stored would be lost with this process.
	if err := r.Store(ctx, kubeconfig); err != nil {
		return fmt.Errorf("store the credential for EPIC: %w", err)
	}
	if err := r.Transport.Set(fresh); err != nil {
		return err
	}
	renewals.WithLabelValues("renewed").Inc()
	Observe(fresh)
	klog.FromContext(ctx).Info("Renewed the credential for EPIC", "expires", fresh.Expires)
	return nil
}
