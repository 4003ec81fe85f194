// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
)

// load keeps writing and reading through the aggregator until it is stopped.
type load struct {
	requests atomic.Int64
	slowest  atomic.Int64

	mu     sync.Mutex
	failed []string
	// unclear are failures other than server responses that state a reason.
	unclear []string
	// lost are objects whose creation was confirmed, and that were not there.
	lost []string
}

func (l *load) note(what string, begin time.Time, err error) {
	l.requests.Add(1)
	took := time.Since(begin)
	for {
		old := l.slowest.Load()
		if int64(took) <= old || l.slowest.CompareAndSwap(old, int64(took)) {
			break
		}
	}
	if err == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	failure := fmt.Sprintf("%s %s after %s: %v", time.Now().Format(time.TimeOnly), what, took.Round(time.Millisecond), err)
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Details != nil {
		// What the kube-apiserver has to say of a server that it does not reach.
		failure += fmt.Sprintf(" %v", status.Status().Details.Causes)
	}
	l.failed = append(l.failed, failure)
	if status == nil || status.Status().Message == "" {
		l.unclear = append(l.unclear, failure)
	}
}

// start runs as many workers; the function that it returns ends them.
func (l *load) start(t *testing.T, c *cluster, ns string, workers int) (stop func()) {
	t.Helper()
	client, err := dynamic.NewForConfig(c.config(t))
	if err != nil {
		t.Fatal(err)
	}
	lbs := client.Resource(group.WithResource("loadbalancers")).Namespace(ns)
	done := make(chan struct{})
	var wg sync.WaitGroup
	ctx := context.WithoutCancel(t.Context())
	do := func(what string, f func() error) error {
		begin := time.Now()
		err := f()
		l.note(what, begin, err)
		return err
	}
	for w := range workers {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				name := fmt.Sprintf("load-%d-%d", w, i)
				created := do("create", func() error {
					_, err := lbs.Create(ctx, &unstructured.Unstructured{Object: map[string]any{
						"apiVersion": group.String(), "kind": "LoadBalancer", "metadata": map[string]any{"name": name},
						"spec": map[string]any{
							"service-group": "web",
							"public-ports":  []any{map[string]any{"port": int64(80), "protocol": "TCP", "targetPort": int64(8080)}},
						},
					}}, metav1.CreateOptions{})
					return err
				})
				got := do("get", func() error { _, err := lbs.Get(ctx, name, metav1.GetOptions{}); return err })
				if created == nil && apierrors.IsNotFound(got) {
					l.mu.Lock()
					l.lost = append(l.lost, name)
					l.mu.Unlock()
				}
				_ = do("patch", func() error {
					_, err := lbs.Patch(ctx, name, types.MergePatchType, []byte(`{"spec":{"display-name":"x"}}`), metav1.PatchOptions{})
					return err
				})
				_ = do("list", func() error { _, err := lbs.List(ctx, metav1.ListOptions{Limit: 10}); return err })
				_ = do("delete", func() error { return lbs.Delete(ctx, name, metav1.DeleteOptions{}) })
			}
		})
	}
	return func() {
		close(done)
		wg.Wait()
		t.Logf("%d requests, the slowest %s, %d failed", l.requests.Load(), time.Duration(l.slowest.Load()).Round(time.Millisecond), len(l.failed))
		if len(l.lost) > 0 {
			t.Errorf("These were made, and then were not there: %v", l.lost)
		}
	}
}

func (l *load) failures() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.failed)
}

// recovered fails unless no request fails for some seconds.
func (l *load) recovered(t *testing.T, limit time.Duration) {
	t.Helper()
	begin := time.Now()
	before, since := l.failures(), time.Now()
	for time.Since(since) < 5*time.Second {
		time.Sleep(100 * time.Millisecond)
		if n := l.failures(); n != before {
			before, since = n, time.Now()
		}
		if time.Since(begin) > limit {
			l.mu.Lock()
			defer l.mu.Unlock()
			t.Fatalf("Requests still fail after %s, the last one: %s", limit, l.failed[len(l.failed)-1])
		}
	}
	t.Logf("No request failed any more %s after the blow", max(0, since.Sub(begin)).Round(100*time.Millisecond))
}

// informer follows the objects of a namespace as a controller does.
func informer(t *testing.T, c *cluster, ns string) cache.SharedIndexInformer {
	t.Helper()
	client, err := dynamic.NewForConfig(c.config(t))
	if err != nil {
		t.Fatal(err)
	}
	factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(client, 0, ns, nil)
	inf := factory.ForResource(group.WithResource("loadbalancers")).Informer()
	factory.Start(t.Context().Done())
	if !cache.WaitForCacheSync(t.Context().Done(), inf.HasSynced) {
		t.Fatal("The informer does not fill")
	}
	return inf
}

// follows fails the test unless the informer soon holds the objects that exist.
func follows(t *testing.T, c *cluster, ns string, inf cache.SharedIndexInformer) {
	t.Helper()
	c.with(t, loadBalancer(ns, "marker"), "apply", "-f", "-")
	defer c.run(t, "delete", "-n", ns, "loadbalancers.epic.acnodal.io", "marker")
	eventually(t, 30*time.Second, func() string {
		there := strings.Fields(c.run(t, "get", "-n", ns, "loadbalancers.epic.acnodal.io", "-o",
			`jsonpath={range .items[*]}{.metadata.name}={.metadata.resourceVersion}{"\n"}{end}`))
		var known []string
		for _, o := range inf.GetStore().List() {
			if u, ok := o.(*unstructured.Unstructured); ok {
				known = append(known, u.GetName()+"="+u.GetResourceVersion())
			}
		}
		slices.Sort(there)
		slices.Sort(known)
		if !slices.Equal(there, known) {
			return fmt.Sprintf("the informer has %v, and there is %v", known, there)
		}
		return ""
	})
}

// trouble runs load and an informer, strikes, and describes how that went.
func trouble(t *testing.T, name string, strike func(t *testing.T, c *cluster)) *load {
	t.Helper()
	c := epic(t)
	ns := c.account(t, name)
	inf := informer(t, c, ns)
	l := &load{}
	stop := l.start(t, c, ns, 6)
	defer func() {
		stop()
		follows(t, c, ns, inf)
		c.audited(t)
	}()
	time.Sleep(3 * time.Second)
	strike(t, c)
	l.recovered(t, time.Minute)
	return l
}

func (c *cluster) settled(t *testing.T) {
	t.Helper()
	c.run(t, "rollout", "status", "--namespace", system, "--timeout=5m", "statefulset/epic-etcd")
	c.run(t, "rollout", "status", "--namespace", system, "--timeout=5m", "deployment/epic-apiserver")
}

// A replica that dies takes only its own requests with it.
func TestTroubleReplicaKilled(t *testing.T) {
	trouble(t, "killed", func(t *testing.T, c *cluster) {
		c.run(t, "delete", "pod", "--namespace", system, "--grace-period=0", "--force", c.pods(t, "epic-apiserver")[0].Name)
	})
	epic(t).settled(t)
}

// etcd elects another leader.
func TestTroubleEtcdLeaderKilled(t *testing.T) {
	trouble(t, "leader", func(t *testing.T, c *cluster) {
		c.run(t, "delete", "pod", "--namespace", system, "--grace-period=0", "--force", c.etcdLeader(t).Name)
	})
	epic(t).settled(t)
}

func (c *cluster) etcdLeader(t *testing.T) corev1.Pod {
	t.Helper()
	for _, pod := range c.pods(t, "epic-etcd") {
		metrics, err := c.try("", "get", "--raw", fmt.Sprintf("/api/v1/namespaces/%s/pods/%s:2381/proxy/metrics", system, pod.Name))
		if err == nil && strings.Contains(metrics, "\netcd_server_is_leader 1\n") {
			return pod
		}
	}
	t.Fatal("No member says that it leads")
	return corev1.Pod{}
}

// Certificates are renewed under running servers.
func TestTroubleCertificates(t *testing.T) {
	l := trouble(t, "renewed", func(t *testing.T, c *cluster) {
		before := c.run(t, "get", "secret", "-n", system, "epic-apiserver-tls", "-o", `jsonpath={.data.tls\.crt}`)
		if err := c.certificates(); err != nil {
			t.Fatal(err)
		}
		if c.run(t, "get", "secret", "-n", system, "epic-apiserver-tls", "-o", `jsonpath={.data.tls\.crt}`) == before {
			t.Error("The certificate is the old one")
		}
	})
	for _, f := range l.failed {
		t.Error(f)
	}
}

// The kube-apiserver's restart ends every connection, and nothing else.
func TestTroubleKubeAPIServer(t *testing.T) {
	c := epic(t)
	c.onThisMachine(t)
	trouble(t, "restarted", func(t *testing.T, _ *cluster) {
		if out, err := script("hack/cluster.sh", "restart", "apiserver").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	})
	c.served(t)
}
