// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/acnodal/epic/pkg/buildinfo"
	"github.com/acnodal/epic/pkg/cli/kube"
	"github.com/acnodal/epic/pkg/skew"
)

// leaseName is the name of the controllers' Lease.
const leaseName = "epic-controller"

// grace is how long after the expiration of a lease its holder may still run before it
// counts as unhealthy.
const grace = 20 * time.Second

var (
	errNoLeases = errors.New("the API server does not serve Leases (coordination.k8s.io), like a standalone EPIC API server: run one controller, with --leader-elect=false")
	errNoLeader = errors.New("no leader is known: check whether the API server responds, and whether this program may use the Lease " + leaseName)
	errExpired  = errors.New("this program holds the lease " + leaseName + ", which has expired, and keeps running")
)

// lease is the lock for leader election of controllers. It records the state of the lease
// for health checks.
type lease struct {
	resourcelock.Interface
	duration time.Duration

	mu     sync.Mutex
	holder string
	// renewed is the holder's value, and noted is when it was first seen, by the clock of
	// this machine.
	renewed metav1.Time
	noted   time.Time
}

// newLease returns the lease for this replica. It returns errNoLeases if the API server
// does not support leases, and no error if the API server does not respond: it may
// respond later.
func newLease(config *rest.Config, namespace string, election *kube.Election) (*lease, error) {
	// Its requests must not wait behind others, and none may take as long as the
	// deadline.
	config = rest.CopyConfig(config)
	config.Timeout = election.RenewDeadline / 2
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("configure access to the API server: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("determine a name for this controller: %w", err)
	}
	_, err = client.Discovery().ServerResourcesForGroupVersion(coordinationv1.SchemeGroupVersion.String())
	if apierrors.IsNotFound(err) {
		return nil, errNoLeases
	}
	return leaseOf(client, namespace, host+"_"+string(uuid.NewUUID()), election.LeaseDuration), nil
}

func leaseOf(client kubernetes.Interface, namespace, identity string, duration time.Duration) *lease {
	return &lease{duration: duration, Interface: &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: namespace, Name: leaseName},
		Client:     client.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
		// For "epicctl version".
		Labels: map[string]string{skew.Label: skew.LabelValue(buildinfo.Release())},
	}}
}

// Get implements resourcelock.Interface.
func (l *lease) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := l.Interface.Get(ctx)
	if err == nil {
		l.note(record)
	}
	return record, raw, err
}

// Create implements resourcelock.Interface.
func (l *lease) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	err := l.Interface.Create(ctx, record)
	if err == nil {
		l.note(&record)
	}
	return err
}

// Update implements resourcelock.Interface.
func (l *lease) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	err := l.Interface.Update(ctx, record)
	if err == nil {
		l.note(&record)
	}
	return err
}

func (l *lease) note(record *resourcelock.LeaderElectionRecord) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holder != record.HolderIdentity || !l.renewed.Equal(&record.RenewTime) {
		l.holder, l.renewed, l.noted = record.HolderIdentity, record.RenewTime, time.Now()
	}
}

// readyCheck returns a check that passes once a leader is known, this replica or another.
func (l *lease) readyCheck() healthz.HealthChecker {
	return healthz.NamedCheck("leader-known", func(*http.Request) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.holder == "" {
			return errNoLeader
		}
		return nil
	})
}

// liveCheck returns a check that fails if this replica still runs although its lease
// expired long ago.
func (l *lease) liveCheck() healthz.HealthChecker {
	return healthz.NamedCheck("leader-election", func(*http.Request) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.holder == l.Identity() && time.Since(l.noted) > l.duration+grace {
			return errExpired
		}
		return nil
	})
}
