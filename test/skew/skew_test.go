// SPDX-License-Identifier: Apache-2.0

//go:build skew

package skew

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/test/world"
)

// Folders with the programs of the two versions.
const oldEnv, newEnv = "EPIC_SKEW_OLD", "EPIC_SKEW_NEW"

// TestSkew has each program run in the other version, alone and in the order of an upgrade and
// of a downgrade. Envoys that an operator of one version started are fed by the other's.
func TestSkew(t *testing.T) {
	bin := map[version]string{older: os.Getenv(oldEnv), newer: os.Getenv(newEnv)}
	if bin[older] == "" || bin[newer] == "" {
		t.Fatal("hack/skew.sh sets " + oldEnv + " and " + newEnv)
	}
	ctrl.SetLogger(klog.Background())
	s := newSite(t, bin)
	shop := s.tenant.publish()
	asked := []*service{s.service("old-proxy")}
	asked[0].answers()
	operator := s.operator()

	// Its Envoy has an epic-proxy of the new version.
	s.replace(operator, newer)
	asked = append(asked, s.service("new-proxy"))
	asked[1].answers()
	s.replace(operator, older)
	asked = append(asked, shop...)
	for _, v := range asked {
		v.ask()
	}

	steps := 0
	check := func(what string) {
		t.Helper()
		begun := time.Now()
		steps++
		// As in a rolling update, the former endpoint goes when the new one serves.
		for _, v := range asked {
			v.add(v.next())
		}
		for _, v := range asked {
			v.turn()
		}
		for _, v := range asked {
			v.answers()
		}
		fresh := s.service(fmt.Sprintf("step-%d", steps))
		fresh.answers()
		fresh.remove()
		s.tenant.agrees()
		for _, v := range asked {
			if failed := v.failure.Load(); failed != nil {
				t.Fatalf("%s: a request to %s failed: %s", what, v.name, *failed)
			}
		}
		t.Logf("%s: changes took effect, nothing was lost (%s)", what, time.Since(begun).Round(time.Millisecond))
	}
	alone := func(v version) {
		for _, p := range s.parts {
			s.replace(p, v)
			check(fmt.Sprintf("%s %s, all else %s", v, p.name, v.other()))
			s.replace(p, v.other())
		}
	}
	inOrder := func(v version, parts []*part) {
		for _, p := range parts {
			s.replace(p, v)
			check(fmt.Sprintf("on the way to %s: %s", v, p.name))
		}
	}
	check("all old")
	alone(newer)
	inOrder(newer, s.parts)
	alone(older)
	back := slices.Clone(s.parts)
	slices.Reverse(back)
	inOrder(older, back)
	for _, v := range asked {
		t.Logf("%s: %d requests", v.name, v.stop())
	}
}

// service is something that visitors ask: a proxy with an Envoy, a tunnel and an endpoint.
type service struct {
	s      *site
	name   string
	urls   []string
	client *http.Client
	// port is the pod's that answers.
	port int32
	// add makes a port of the pod an endpoint, drop removes it.
	add, drop func(port int32)

	// end stops visitors, which are those that ask.
	end      chan struct{}
	visitors sync.WaitGroup
	requests atomic.Int64
	failure  atomic.Pointer[string]
}

// service makes a load balancer whose endpoint is the pod's first port.
func (s *site) service(name string) *service {
	s.Helper()
	lb, err := s.client.EpicV1().LoadBalancers(namespace).Create(s.Context(), &epicv1.LoadBalancer{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: epicv1.LoadBalancerSpec{
			ServiceGroup: group, UpstreamClusters: []string{"c"}, PublicPorts: []epicv1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}},
		},
	}, metav1.CreateOptions{})
	s.must(err)
	v := s.visited(name, "http://"+net.JoinHostPort(lb.Spec.PublicAddress, "80"))
	v.add, v.drop = v.addEndpoint, v.dropEndpoint
	v.add(v.port)
	return v
}

// visited is a service with some addresses, whose endpoint is the pod's first port.
func (s *site) visited(name string, urls ...string) *service {
	return &service{s: s, name: name, urls: urls, client: world.Client(s.world.Visitor), port: ports[0], end: make(chan struct{})}
}

// next is the pod's other port.
func (v *service) next() int32 { return ports[0] + ports[1] - v.port }

// turn waits until the other port, which was added, answers, and drops the present one.
func (v *service) turn() {
	v.s.Helper()
	v.answered(v.next())
	v.drop(v.port)
	v.port = v.next()
}

// addEndpoint makes the pod's port an endpoint of a load balancer.
func (v *service) addEndpoint(port int32) {
	v.s.Helper()
	_, err := v.s.client.EpicV1().RemoteEndpoints(namespace).Create(v.s.Context(), &epicv1.RemoteEndpoint{
		ObjectMeta: metav1.ObjectMeta{Name: v.endpoint(port), Labels: map[string]string{epic.OwningLoadBalancerLabel: v.name}},
		Spec: epicv1.RemoteEndpointSpec{
			Cluster: "c", Address: world.PodAddress, NodeAddress: world.NodeAddress, Port: epicv1.EndpointPort{Port: port, Protocol: corev1.ProtocolTCP},
		},
	}, metav1.CreateOptions{})
	v.s.must(err)
}

// dropEndpoint removes that endpoint.
func (v *service) dropEndpoint(port int32) {
	v.s.Helper()
	v.s.must(v.s.client.EpicV1().RemoteEndpoints(namespace).Delete(v.s.Context(), v.endpoint(port), metav1.DeleteOptions{}))
}

func (v *service) endpoint(port int32) string { return fmt.Sprintf("%s-%d", v.name, port) }

// answered waits until the pod's port has answered, whoever else does.
func (v *service) answered(port int32) {
	v.s.Helper()
	v.s.until(fmt.Sprintf("%s answers from port %d, too", v.name, port), func() error { return v.once(port) })
}

// answers waits until the service's port answers, and no other.
func (v *service) answers() {
	v.s.Helper()
	v.s.until(fmt.Sprintf("%s answers from port %d", v.name, v.port), func() error {
		for range 10 {
			if err := v.once(v.port); err != nil {
				return err
			}
		}
		return nil
	})
}

// once asks each address, and expects that a port answers.
func (v *service) once(port int32) error {
	for _, url := range v.urls {
		text, err := get(v.client, url)
		if err != nil {
			return err
		}
		if text != strconv.Itoa(int(port)) {
			return fmt.Errorf("port %s answers %s", text, url)
		}
	}
	return nil
}

// ask has two visitors ask until stop is called. One of the pod's ports has to answer.
func (v *service) ask() {
	for visitor := range 2 {
		v.visitors.Go(func() {
			for i := visitor; ; i++ {
				select {
				case <-v.end:
					return
				case <-time.After(20 * time.Millisecond):
				}
				answer, err := get(v.client, v.urls[i%len(v.urls)])
				if err == nil && !slices.ContainsFunc(ports[:], func(p int32) bool { return answer == strconv.Itoa(int(p)) }) {
					err = fmt.Errorf("the answer is %q", answer)
				}
				if err != nil {
					text := fmt.Sprintf("%s: %v", time.Now().Format(time.TimeOnly), err)
					v.failure.CompareAndSwap(nil, &text)
				}
				v.requests.Add(1)
			}
		})
	}
	v.s.Cleanup(func() { v.stop() })
}

// stop ends the visitors and returns how often they asked.
func (v *service) stop() int64 {
	select {
	case <-v.end:
	default:
		close(v.end)
	}
	v.visitors.Wait()
	return v.requests.Load()
}

// remove deletes the load balancer with its endpoints.
func (v *service) remove() {
	v.s.Helper()
	lbs := v.s.client.EpicV1().LoadBalancers(namespace)
	_, err := lbs.Patch(v.s.Context(), v.name, types.MergePatchType, []byte(`{"spec":{"upstream-clusters":null}}`), metav1.PatchOptions{})
	v.s.must(err)
	v.s.must(lbs.Delete(v.s.Context(), v.name, metav1.DeleteOptions{}))
}

// get returns what a server answers, or an error that has it.
func get(client *http.Client, url string) (string, error) {
	answer, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, strings.TrimSpace(string(text)))
	}
	return string(text), err
}
