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
	s := newSite(t, bin)
	asked := []*service{s.service("old-proxy")}
	asked[0].answers(ports[0])
	operator := s.parts[slices.IndexFunc(s.parts, func(p *part) bool { return p.name == "operator" })]

	// Its Envoy has an epic-proxy of the new version.
	s.replace(operator, newer)
	asked = append(asked, s.service("new-proxy"))
	asked[1].answers(ports[0])
	s.replace(operator, older)
	for _, v := range asked {
		v.ask()
	}

	steps := 0
	check := func(what string) {
		t.Helper()
		begun := time.Now()
		steps++
		port := ports[steps%2]
		// As in a rolling update, the former endpoint goes when the new one serves.
		for _, v := range asked {
			v.add(port)
		}
		for _, v := range asked {
			v.answered(port)
			v.drop(ports[(steps+1)%2])
		}
		for _, v := range asked {
			v.answers(port)
		}
		fresh := s.service(fmt.Sprintf("step-%d", steps))
		fresh.answers(ports[0])
		fresh.remove()
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

// service is a load balancer with an Envoy, a tunnel and an endpoint.
type service struct {
	s      *site
	name   string
	url    string
	client *http.Client

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
	v := &service{s: s, name: name, url: "http://" + net.JoinHostPort(lb.Spec.PublicAddress, "80"), client: world.Client(s.world.Visitor), end: make(chan struct{})}
	v.add(ports[0])
	return v
}

// add makes the pod's port an endpoint.
func (v *service) add(port int32) {
	v.s.Helper()
	_, err := v.s.client.EpicV1().RemoteEndpoints(namespace).Create(v.s.Context(), &epicv1.RemoteEndpoint{
		ObjectMeta: metav1.ObjectMeta{Name: v.endpoint(port), Labels: map[string]string{epic.OwningLoadBalancerLabel: v.name}},
		Spec: epicv1.RemoteEndpointSpec{
			Cluster: "c", Address: world.PodAddress, NodeAddress: world.NodeAddress, Port: epicv1.EndpointPort{Port: port, Protocol: corev1.ProtocolTCP},
		},
	}, metav1.CreateOptions{})
	v.s.must(err)
}

// drop removes that endpoint.
func (v *service) drop(port int32) {
	v.s.Helper()
	v.s.must(v.s.client.EpicV1().RemoteEndpoints(namespace).Delete(v.s.Context(), v.endpoint(port), metav1.DeleteOptions{}))
}

func (v *service) endpoint(port int32) string { return fmt.Sprintf("%s-%d", v.name, port) }

// answered waits until the pod's port has answered, whoever else does.
func (v *service) answered(port int32) {
	v.s.Helper()
	v.s.until(fmt.Sprintf("%s answers from port %d, too", v.name, port), func() error {
		text, err := get(v.client, v.url)
		if err == nil && text != strconv.Itoa(int(port)) {
			err = fmt.Errorf("port %s answers", text)
		}
		return err
	})
}

// answers waits until the pod's port answers, and no other.
func (v *service) answers(port int32) {
	v.s.Helper()
	v.s.until(fmt.Sprintf("%s answers from port %d", v.name, port), func() error {
		for range 10 {
			text, err := get(v.client, v.url)
			if err != nil {
				return err
			}
			if text != strconv.Itoa(int(port)) {
				return fmt.Errorf("port %s answers", text)
			}
		}
		return nil
	})
}

// ask has two visitors ask until stop is called.
func (v *service) ask() {
	for range 2 {
		v.visitors.Go(func() {
			for {
				select {
				case <-v.end:
					return
				case <-time.After(20 * time.Millisecond):
				}
				if _, err := get(v.client, v.url); err != nil {
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
