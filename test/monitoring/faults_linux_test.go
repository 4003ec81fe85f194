// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/connector/publish"
	"github.com/acnodal/epic/test/tools/wire"
	"github.com/acnodal/epic/test/world"
)

// doing is what happens during a fault, or ends it.
type doing = func(*site)

// noSnapshot is so from the start. The command that the CronJob runs ends it.
func noSnapshot(*site) (during, repair doing) {
	return nil, func(s *site) {
		s.Helper()
		out, err := exec.CommandContext(s.Context(), s.own("epic-apiserver"), "backup", "--backup-dir="+s.in("snapshots"), "--etcd-servers="+s.etcdURL).CombinedOutput()
		if err != nil {
			s.Fatalf("%v: %s", err, out)
		}
	}
}

func poolUsed(s *site) (during, repair doing) {
	s.Helper()
	for _, name := range []string{"last-1", "last-2"} {
		s.balancer(name, "small")
	}
	return nil, func(s *site) { s.Helper(); s.remove("last-1", "last-2") }
}

// etcdFull creates large objects until there is no room, and deletes them.
func etcdFull(s *site) (during, repair doing) {
	s.Helper()
	api := s.alone.EpicV1().ServicePrefixes(epic.ConfigNamespace)
	n := 0
	s.until("the etcd refuses writes", func() error {
		for range 100 {
			n++
			_, err := api.Create(s.Context(), &epicv1.ServicePrefix{
				ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("large-%d", n), Annotations: map[string]string{"large": strings.Repeat("x", 60_000)}},
				Spec: epicv1.ServicePrefixSpec{PublicPool: &epicv1.AddressPool{
					Pool: fmt.Sprintf("10.%d.%d.1-10.%[1]d.%[2]d.9", n/250, n%250), Subnet: fmt.Sprintf("10.%d.%d.0/24", n/250, n%250), Aggregation: "default",
				}},
			}, metav1.CreateOptions{})
			if codeOf(err) == http.StatusInsufficientStorage {
				n--
				return nil
			}
			s.must(err)
		}
		return errors.New("it takes them")
	})
	return nil, func(s *site) {
		s.Helper()
		for ; n > 0; n-- {
			s.must(api.Delete(s.Context(), fmt.Sprintf("large-%d", n), metav1.DeleteOptions{}))
		}
	}
}

// codeOf returns the HTTP status of an error response.
func codeOf(err error) int32 {
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		return status.Status().Code
	}
	return 0
}

func wrongKeys(s *site) (during, repair doing) {
	s.Helper()
	good, err := os.ReadFile(s.in("tunnel-keys"))
	s.must(err)
	s.must(os.WriteFile(s.in("tunnel-keys"), append(bytes.Clone(good), "no key\n"...), 0o600))
	return nil, func(s *site) { s.Helper(); s.must(os.WriteFile(s.in("tunnel-keys"), good, 0o600)) }
}

// foreignClaim gives the address of one load balancer to another in etcd, past the API server, and
// then deletes the former.
func foreignClaim(s *site) (during, repair doing) {
	s.Helper()
	s.balancer("robbed", group)
	robber := s.balancer("robber", group)
	claims, err := s.data.Get(s.Context(), "", clientv3.WithPrefix())
	s.must(err)
	var key string
	for _, kv := range claims.Kvs {
		if k := string(kv.Key); strings.Contains(k, "/.claims/v1/address/") && strings.HasPrefix(string(kv.Value), "loadbalancers/"+namespace+"/robbed/") {
			key = k
		}
	}
	if key == "" {
		s.Fatal("there is no claim of the address")
	}
	_, err = s.data.Put(s.Context(), key, "loadbalancers/"+namespace+"/robber/"+string(robber.UID))
	s.must(err)
	deleted := false
	return func(s *site) {
			s.Helper()
			// The audit is to find the difference first.
			if now, err := s.firing(); err == nil && now["EpicClaimsDiffer"] > 0 && !deleted {
				s.remove("robbed")
				deleted = true
			}
		}, func(s *site) {
			s.Helper()
			_, err := s.data.Delete(s.Context(), key)
			s.must(err)
			s.remove("robber")
		}
}

func nodeCutOff(s *site) (during, repair doing) {
	s.nodeAPI.Set(wire.Cut, 0)
	return nil, func(s *site) { s.nodeAPI.Set(wire.Open, 0) }
}

func routerDown(s *site) (during, repair doing) {
	s.Helper()
	s.stop("bird")
	return nil, func(s *site) { s.Helper(); s.again("bird") }
}

// clientCutOff loses what goes to and from the tenant's network.
func clientCutOff(s *site) (during, repair doing) {
	s.Helper()
	restore, err := s.world.Internet.Lose(100, "nat1")
	s.must(err)
	return nil, func(s *site) {
		s.Helper()
		_, err := restore()
		s.must(err)
	}
}

// disconnected deletes the service account that epicctl connect made, as epicctl disconnect does.
// What the tenant changes then is not published.
func disconnected(s *site) (during, repair doing) {
	s.Helper()
	name := "connector." + cluster
	s.must(s.core.CoreV1().ServiceAccounts(namespace).Delete(s.Context(), name, metav1.DeleteOptions{}))
	route := &gatewayv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "changes"}}
	route.Spec.ParentRefs = []gatewayv1.ParentReference{{Name: "shop"}}
	n := 0
	return func(s *site) {
			s.Helper()
			n++
			changed := route.DeepCopy()
			changed.Name = fmt.Sprintf("changes-%d", n)
			changed.Spec.Hostnames = []gatewayv1.Hostname{gatewayv1.Hostname(fmt.Sprintf("shop-%d.example", n))}
			s.must(s.objects.Create(s.Context(), changed))
		}, func(s *site) {
			s.Helper()
			s.connectorCredential()
			for ; n > 0; n-- {
				gone := route.DeepCopy()
				gone.Name = fmt.Sprintf("changes-%d", n)
				s.must(s.objects.Delete(s.Context(), gone))
			}
		}
}

func refusedService(s *site) (during, repair doing) {
	s.Helper()
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "refused", Annotations: map[string]string{publish.ServiceGroupAnnotation: "none"}},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: ptr.To(publish.LoadBalancerClass), AllocateLoadBalancerNodePorts: ptr.To(false),
			Ports: []corev1.ServicePort{{Name: "http", Port: 80}},
		},
	}
	s.must(s.objects.Create(s.Context(), service))
	return nil, func(s *site) { s.Helper(); s.must(s.objects.Delete(s.Context(), service)) }
}

// noKeys has a load balancer come when the node may not read its keys.
func noKeys(s *site) (during, repair doing) {
	s.Helper()
	restore := s.revoke("epic-node", "loadbalancers/tunnelkeys")
	s.balancer("keyless", group)
	return nil, func(s *site) {
		s.Helper()
		restore(s)
		s.remove("keyless")
	}
}

// mayNotWrite takes the right to write tunnels from the controller, and has load balancers come
// and change.
func mayNotWrite(s *site) (during, repair doing) {
	s.Helper()
	restore := s.revoke("epic-controller", "loadbalancers/status")
	names := []string{"waits-1", "waits-2", "waits-3"}
	for _, name := range names {
		s.balancer(name, group)
	}
	number := int32(port)
	return func(s *site) {
			s.Helper()
			number++
			for _, name := range names {
				s.endpoint(name, world.NodeAddress, number)
			}
		}, func(s *site) {
			s.Helper()
			restore(s)
			s.remove(names...)
		}
}

// etcdDown ends etcd. Nothing can be written, and nothing audited. The API server must be
// scraped all the same: without its last audit, EpicClaimsNotAudited would fire at once, and
// without its requests, EpicAPIServerErrors never.
func etcdDown(s *site) (during, repair doing) {
	s.Helper()
	s.kill("etcd")
	killed := time.Now()
	var open atomic.Int32
	return func(s *site) {
			s.Helper()
			if now, err := s.firing(); err == nil && now["EpicClaimsNotAudited"] > 0 && time.Since(killed) < noDayAtLeast {
				s.Errorf("EpicClaimsNotAudited fires %s after the last audit", time.Since(killed).Round(time.Second))
			}
			if open.Add(1) > 10 {
				open.Add(-1)
				return
			}
			go func() {
				defer open.Add(-1)
				// The server responds with 504 when the time is up.
				_ = s.client.EpicV1().RESTClient().Patch(types.MergePatchType).Namespace(namespace).Resource("accounts").Name(account).
					Timeout(2 * time.Second).Body(fmt.Appendf(nil, `{"metadata":{"annotations":{"at":"%d"}}}`, time.Now().UnixNano())).
					Do(s.Context()).Error()
			}()
		}, func(s *site) {
			s.Helper()
			s.again("etcd")
		}
}
