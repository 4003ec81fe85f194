// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/ownthread"
	"github.com/acnodal/epic/pkg/proxyidentity/exchange"
	"github.com/acnodal/epic/pkg/proxyidentity/issuer"
	"github.com/acnodal/epic/test/tools/freeport"
	"github.com/acnodal/epic/test/tools/wire"
	"github.com/acnodal/epic/test/world"
)

// proxyRecord is what the operator notes of a proxy that it runs as a process.
type proxyRecord struct {
	Kind, Namespace, Name, Pod string
	Process                    struct{ PID int }
	Link                       struct{ Netns string }

	folder string
}

// proxies are those that run.
func (s *site) proxies() []proxyRecord {
	s.Helper()
	files, err := filepath.Glob(s.in("op", "p", "*", "record.json"))
	s.must(err)
	var all []proxyRecord
	for _, file := range files {
		p := proxyRecord{folder: filepath.Dir(file)}
		text, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) || strings.Contains(p.folder, ".ended-") {
			continue
		}
		s.must(err)
		s.must(json.Unmarshal(text, &p))
		all = append(all, p)
	}
	return all
}

// proxy waits for the one of a load balancer.
func (s *site) proxy(name string) (found proxyRecord) {
	s.Helper()
	s.until("the proxy of "+name+" runs", func() error {
		all := s.proxies()
		i := slices.IndexFunc(all, func(p proxyRecord) bool { return p.Name == name && p.Process.PID != 0 && p.Link.Netns != "" })
		if i < 0 {
			return errors.New("there is none")
		}
		found = all[i]
		return nil
	})
	return found
}

// envoys are the processes of a proxy's Envoy.
func (s *site) envoys(p *proxyRecord) []int {
	s.Helper()
	var all []int
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", p.Process.PID))
	s.must(err)
	for _, file := range tasks {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		for _, field := range strings.Fields(string(text)) {
			pid, err := strconv.Atoi(field)
			s.must(err)
			all = append(all, pid)
		}
	}
	if len(all) == 0 {
		s.Fatalf("the proxy %s has no Envoy", p.Pod)
	}
	return all
}

// programmed waits until a load balancer is.
func (s *site) programmed(name string) {
	s.Helper()
	s.until(name+" is programmed", func() error {
		lb, err := s.client.EpicV1().LoadBalancers(namespace).Get(s.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, c := range lb.Status.Conditions {
			if c.Type == "Programmed" && c.Status == metav1.ConditionTrue {
				return nil
			}
		}
		return fmt.Errorf("its conditions are %v", lb.Status.Conditions)
	})
}

// ports publishes a load balancer on ports.
func (s *site) ports(name string, ports ...int32) {
	s.Helper()
	var all []epicv1.ServicePort
	for _, p := range ports {
		all = append(all, epicv1.ServicePort{Port: p, Protocol: corev1.ProtocolTCP})
	}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"public-ports": all}})
	s.must(err)
	_, err = s.client.EpicV1().LoadBalancers(namespace).Patch(s.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{})
	s.must(err)
}

// signalAll sends a signal to processes.
func (s *site) signalAll(pids []int, signal unix.Signal) {
	s.Helper()
	for _, pid := range pids {
		s.must(unix.Kill(pid, signal))
	}
}

// slowEnvoy stops an Envoy for a while whenever its endpoints change.
func slowEnvoy(s *site) (during, repair doing) {
	s.Helper()
	s.balancer("slow", group)
	s.programmed("slow")
	p := s.proxy("slow")
	envoys := s.envoys(&p)
	number := int32(port)
	return func(s *site) {
			s.Helper()
			s.signalAll(envoys, unix.SIGSTOP)
			number++
			s.endpoint("slow", world.NodeAddress, number)
			time.Sleep(1500 * time.Millisecond)
			s.signalAll(envoys, unix.SIGCONT)
		}, func(s *site) {
			s.Helper()
			s.remove("slow")
		}
}

// hungEnvoy stops an Envoy before its endpoints change, and continues it only to repair it.
func hungEnvoy(s *site) (during, repair doing) {
	s.Helper()
	s.balancer("hangs", group)
	s.programmed("hangs")
	p := s.proxy("hangs")
	envoys := s.envoys(&p)
	s.signalAll(envoys, unix.SIGSTOP)
	s.endpoint("hangs", world.NodeAddress, port+1)
	return nil, func(s *site) {
		s.Helper()
		s.signalAll(envoys, unix.SIGCONT)
		// Its answer clears the alert, and not its end.
		s.quiet("the Envoy has answered", "EpicConfigurationStuck")
		s.remove("hangs")
	}
}

// portInUse makes another process listen on a port of a proxy before Envoy does.
func portInUse(s *site) (during, repair doing) {
	s.Helper()
	lb := s.balancer("in-use", group)
	s.programmed("in-use")
	p := s.proxy("in-use")
	var l net.Listener
	s.must(ownthread.Run(func() error {
		ns, err := netns.GetFromPath(p.Link.Netns)
		if err != nil {
			return err
		}
		defer func() { _ = ns.Close() }()
		if err := netns.Set(ns); err != nil {
			return err
		}
		l, err = new(net.ListenConfig).Listen(s.Context(), "tcp", net.JoinHostPort(lb.Spec.PublicAddress, "81"))
		return err
	}))
	s.ports("in-use", 80, 81)
	return nil, func(s *site) {
		s.Helper()
		s.must(l.Close())
		s.remove("in-use")
	}
}

// noValidator has a load balancer get other ports while nobody checks configurations.
func noValidator(s *site) (during, repair doing) {
	s.Helper()
	s.balancer("unchecked", group)
	s.programmed("unchecked")
	s.kill("validator")
	number := int32(1000)
	return func(s *site) {
			s.Helper()
			number++
			s.ports("unchecked", 80, number)
		}, func(s *site) {
			s.Helper()
			s.again("validator")
			s.remove("unchecked")
		}
}

// proxiesCutOff takes the operator's socket away, and the connections with the programs that have
// them. Those that are started in their place find nobody.
func proxiesCutOff(s *site) (during, repair doing) {
	s.Helper()
	socket := s.in("op", "xds.sock")
	s.must(os.Rename(socket, socket+".away"))
	for _, p := range s.proxies() {
		if err := unix.Kill(p.Process.PID, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			s.Fatal(err)
		}
	}
	return nil, func(s *site) { s.Helper(); s.must(os.Rename(socket+".away", socket)) }
}

// noReviews runs a second operator, as it runs in a cluster, which does not lead, and takes its way
// to the kube-apiserver away. A proxy asks it for a certificate.
func noReviews(s *site) (during, repair doing) {
	s.Helper()
	now := metav1.NowMicro()
	_, err := s.core.CoordinationV1().Leases("epic-system").Create(s.Context(), &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: "epic-operator"},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: ptr.To("another"), LeaseDurationSeconds: ptr.To[int32](3600), AcquireTime: &now, RenewTime: &now},
	}, metav1.CreateOptions{})
	s.must(err)
	api, address, xds := s.gate(nil, to(nil, "tcp", s.api)), freeport.Address(s), freeport.Address(s)
	token := s.token("epic-system", "epic-operator", "")
	s.start("epic-operator-2", s.own("epic-operator"), nil, append([]string{
		"--kubeconfig=" + s.kubeconfig("operator-2", api.Address(), "epic-system", token), "--runner=deployments", "--validator=off", "--bind-address=", "--xds-address=" + xds,
	}, metrics(address, s.kubeconfig("operator-2-metrics", s.api, "epic-system", token))...)...)
	s.programPod("epic-system", "epic-operator", "epic-operator-2", "metrics", address)
	conn, err := grpc.NewClient(xds, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13})))
	s.must(err)
	proxy := s.token(namespace, "default", "", issuer.Audience)
	sign := func(s *site) codes.Code {
		s.Helper()
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		s.must(err)
		csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
		s.must(err)
		ctx, cancel := context.WithTimeout(s.Context(), 5*time.Second)
		defer cancel()
		_, err = exchange.Sign(ctx, conn, &exchange.Request{Token: proxy, Namespace: namespace, Pod: "proxy", CSR: csr})
		return status.Code(err)
	}
	// It is no token of a pod, and refused while the kube-apiserver answers.
	s.until("the second operator refuses a certificate", func() error {
		if code := sign(s); code != codes.PermissionDenied {
			return fmt.Errorf("the answer is %s", code)
		}
		return nil
	})
	s.until("the second operator is scraped", func() error {
		all, err := s.query(`up{job="epic-operator",pod="epic-operator-2"} == 1`)
		if err == nil && len(all) == 0 {
			err = errors.New("not yet")
		}
		return err
	})
	api.Set(wire.Cut, 0)
	return func(s *site) { sign(s) }, func(s *site) {
		s.Helper()
		_ = conn.Close()
		s.kill("epic-operator-2")
		s.must(s.found.remove("epic-operator-2"))
		s.must(s.core.CoreV1().Pods("epic-system").Delete(s.Context(), "epic-operator-2", metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}))
	}
}
