// SPDX-License-Identifier: Apache-2.0

// Package leader lets one of several controllers work while the others stand by,
// by a Lease. It knows nothing of what the work is.
//
// It does not fence: a leader that is cut off may work on for moments after
// another took over. What it leads must bear that.
package leader

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// LeaseName is the name of the controllers' Lease.
const LeaseName = "epic-controller"

// grace is how long after a lease has expired its holder may still run before it
// is called unhealthy.
const grace = 20 * time.Second

// ErrLost ends the work of a leader that could not renew its lease in time.
var ErrLost = errors.New("the lease was lost: another controller may lead now")

// ErrNoLeases is that the API has no leases, as an EPIC API server that runs
// alone has none.
var ErrNoLeases = errors.New("the API server serves no leases (coordination.k8s.io), as an EPIC API server that runs alone does not: run one controller, with --leader-elect=false")

// Options report which lease, and how it is held.
type Options struct {
	// Client talks to the API server that has the lease.
	Client kubernetes.Interface
	// Namespace has the lease.
	Namespace string
	// Identity names this candidate, unlike any other.
	Identity string
	// LeaseDuration is how long others wait for a leader that is silent;
	// RenewDeadline, which is shorter, is after how long without success a leader
	// gives up; RetryPeriod is how often each of them tries.
	LeaseDuration, RenewDeadline, RetryPeriod time.Duration
}

// Election is one candidate.
type Election struct {
	options Options
	elector *leaderelection.LeaderElector
	watch   *leaderelection.HealthzAdaptor

	begun chan struct{}
	// lead ends with the lease. The elector hands it over in a callback.
	lead context.Context
	once sync.Once
}

// New returns a candidate that does not stand yet.
func New(o Options) (*Election, error) {
	e := &Election{options: o, watch: leaderelection.NewLeaderHealthzAdaptor(grace), begun: make(chan struct{})}
	lock := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: o.Namespace, Name: LeaseName},
		Client:     o.Client.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: o.Identity},
	}
	var err error
	e.elector, err = leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock:          lock,
		LeaseDuration: o.LeaseDuration,
		RenewDeadline: o.RenewDeadline,
		RetryPeriod:   o.RetryPeriod,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) {
				e.once.Do(func() {
					e.lead = ctx
					close(e.begun)
				})
			},
			OnStoppedLeading: func() {},
		},
		WatchDog:        e.watch,
		ReleaseOnCancel: true,
		Name:            LeaseName,
	})
	if err != nil {
		return nil, fmt.Errorf("leader election: %w", err)
	}
	e.watch.SetLeaderElection(e.elector)
	return e, nil
}

// CheckLeases returns ErrNoLeases if the API has none. It returns nothing else:
// an API server that does not answer may answer later.
func (e *Election) CheckLeases() error {
	_, err := e.options.Client.Discovery().ServerResourcesForGroupVersion(coordinationv1.SchemeGroupVersion.String())
	if apierrors.IsNotFound(err) {
		return ErrNoLeases
	}
	return nil
}

// Run waits until this candidate leads, then works until work returns or ctx or
// the lease ends. The lease is released after the work, never before, so
// the next leader can begin at once. It returns work's error; ErrLost when the
// lease was lost; and nil when ctx ended. It can run once.
func (e *Election) Run(ctx context.Context, work func(context.Context) error) error {
	// The lease outlives ctx until the work is done.
	holding, release := context.WithCancel(context.WithoutCancel(ctx))
	defer release()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		e.elector.Run(holding)
	}()

	select {
	case <-e.begun:
	case <-ctx.Done():
		release()
		<-ended
		return nil
	}
	working, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(e.lead, stop)() //nolint:contextcheck // leading ends by itself, next to ctx
	err := work(working)
	lost := e.lead.Err() != nil
	release()
	<-ended
	if err == nil && lost && ctx.Err() == nil {
		return ErrLost
	}
	return err
}

var errNoLeader = errors.New("no leader is known: see whether the API server answers, and whether this program may use the lease " + LeaseName)

// ReadyCheck passes once a leader is known, this one or another.
func (e *Election) ReadyCheck() healthz.HealthChecker {
	return healthz.NamedCheck("leader-known", func(*http.Request) error {
		if e.elector.GetLeader() == "" {
			return errNoLeader
		}
		return nil
	})
}

// LiveCheck fails when this candidate still runs though its lease expired long
// ago.
func (e *Election) LiveCheck() healthz.HealthChecker {
	return healthz.NamedCheck("leader-election", e.watch.Check)
}
