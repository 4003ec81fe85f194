// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/envoy/translate"
	"github.com/acnodal/epic/pkg/envoy/xds"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned/fake"
	"github.com/acnodal/epic/pkg/operator/runner"
	"github.com/acnodal/epic/pkg/operator/workload"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

// counted is a runner that says with how many replicas a proxy is run.
type counted chan int32

func (c counted) Ensure(_ context.Context, p *workload.Proxy) (runner.Progress, error) {
	select {
	case c <- p.Replicas:
	default:
	}
	return runner.Progress{}, nil
}

func (counted) Remove(context.Context, proxyidentity.Proxy) error   { return nil }
func (counted) Keys(context.Context) ([]proxyidentity.Proxy, error) { return nil, nil }
func nowhere(string) translate.Options                              { return translate.Options{} }
func noSecret(string, string) *corev1.Secret                        { return nil }
func nobody(context.Context) (id proxyidentity.Identity, until time.Time, err error) {
	return id, until, errors.New("nobody")
}

// While objects of one kind are not known yet, as after a start, the others do not make
// an operator run a proxy without its group's replicas, or miss a route's gateway proxy.
func TestNothingIsDoneByHalf(t *testing.T) {
	meta := metav1.ObjectMeta{
		Namespace: "epic-one", Name: "web", Generation: 1,
		Labels: map[string]string{epic.OwningLBServiceGroupLabel: "group", epic.OwningLBServiceGroupNamespaceLabel: "epic-one"},
	}
	for _, late := range []string{"lbservicegroups", "gwproxies"} {
		t.Run(late, func(t *testing.T) {
			http := &epicv1.HTTPRouteSpec{}
			http.ParentRefs = []gatewayv1.ParentReference{{Name: "web"}}
			client := fake.NewClientset(
				&epicv1.LBServiceGroup{
					ObjectMeta: metav1.ObjectMeta{Namespace: "epic-one", Name: "group"}, Spec: epicv1.LBServiceGroupSpec{EnvoyReplicaCount: ptr.To[int32](3)},
				},
				&epicv1.LoadBalancer{ObjectMeta: meta}, &epicv1.GWProxy{ObjectMeta: meta},
				&epicv1.GWRoute{
					ObjectMeta: metav1.ObjectMeta{Namespace: "epic-one", Name: "route", Generation: 1},
					Spec:       epicv1.GWRouteSpec{HTTP: http},
				},
			)
			var failed atomic.Bool
			client.PrependReactor("list", late, func(clienttesting.Action) (bool, runtime.Object, error) {
				return failed.CompareAndSwap(false, true), nil, errors.New("try again")
			})
			reports := make(chan []byte, 10)
			client.PrependReactor("patch", "gwroutes", func(action clienttesting.Action) (bool, runtime.Object, error) {
				if patch, ok := action.(clienttesting.PatchAction); ok {
					reports <- patch.GetPatch()
				}
				return false, nil, nil
			})
			server := xds.NewServer(xds.Options{Identify: nobody})
			op, err := New(Options{Client: client, Workers: 1, Server: server, Secret: noSecret, Place: nowhere}, &Observer{})
			if err != nil {
				t.Fatal(err)
			}
			mgr, err := manager.New(&rest.Config{Host: "http://127.0.0.1:1"}, manager.Options{
				Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
				Controller: ctrlconfig.Controller{SkipNameValidation: ptr.To(true)},
			})
			if err != nil {
				t.Fatal(err)
			}
			replicas := make(counted, 10)
			if err := op.Control(mgr, replicas); err != nil {
				t.Fatal(err)
			}
			if err := mgr.Add(manager.RunnableFunc(op.Serve)); err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- mgr.Start(ctx) }()
			defer func() {
				stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}()
			const patience = time.Minute
			for range 2 { // the load balancer and the gateway proxy
				select {
				case n := <-replicas:
					if n != 3 {
						t.Errorf("A proxy is run with %d replicas, and its group says 3", n)
					}
				case <-time.After(patience):
					t.Fatal("no proxy is run")
				}
			}
			select {
			case report := <-reports:
				if bytes.Contains(report, []byte("NoParents")) {
					t.Errorf("The route is said to have no parents: %s", report)
				}
			case <-time.After(patience):
				t.Fatal("nothing is reported of the route")
			}
		})
	}
}
