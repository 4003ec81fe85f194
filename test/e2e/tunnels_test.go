// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// The image of the tests' own servers.
const web = "epic-e2e/web:dev"

// tunnelReport is the part of what "epic-node status -o json" prints that the tests read.
type tunnelReport struct {
	Source   string
	Problems []string
	Proxies  []struct {
		Interface string
		Addresses []string
	}
	Tunnels []struct {
		State    string
		Counters map[string]uint64
	}
}

// site is one gateway node and one node of a tenant.
type site struct {
	*cluster

	gateway, tenant string
	namespace       string
	// address is the public address, url what a visitor requests.
	address, url string
	// removed indicates that the node programs were removed again.
	removed bool
}

// TestTunnels is EPIC's purpose, on a real cluster's nodes: a visitor asks the public
// address of a proxy, which asks a pod on a client node, through the tunnel.
// Programs are replaced in the meantime, and in the end nothing is left of them.
func TestTunnels(t *testing.T) {
	c := epic(t)
	c.onThisMachine(t)
	s := c.site(t)
	s.backend(t)
	s.proxy(t)
	t.Run("reached", s.testReached)
	t.Run("readiness", s.testReadiness)
	t.Run("replaced under traffic", s.testReplaced)
	t.Run("mended", s.testMended)
	t.Run("other pods", s.testOtherPods)
	t.Run("removed", s.testRemoved)
}

// site installs the node program on both nodes, as it is documented.
func (c *cluster) site(t *testing.T) *site {
	t.Helper()
	nodes := strings.Fields(c.run(t, "get", "nodes", "--output=jsonpath={.items[*].metadata.name}"))
	if len(nodes) < 2 {
		t.Skip("the cluster has one node")
	}
	s := &site{cluster: c, gateway: nodes[0], tenant: nodes[1]}
	c.webImage(t)
	s.namespace = c.account(t, "tunnels")
	aside(t, ".epic/client")
	credentials := aside(t, ".epic/"+s.tenant+".kubeconfig")
	t.Cleanup(func() {
		if !s.removed {
			s.explain(t)
			s.remove(t)
		}
	})
	env := []string{
		"GATEWAYS=" + s.gateway, "ACCOUNT=tunnels", "NODE=" + s.tenant, "ADDRESS=" + s.internalIP(t, s.tenant),
		"PATH=" + filepath.Join(root, "bin") + ":" + os.Getenv("PATH"),
	}
	for _, heading := range []string{"Gateway nodes", "A tenant's credentials", "A tenant's cluster"} {
		if err := c.documented(heading, env...); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(credentials); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("The credentials are %v, %v", info, err)
	}
	return s
}

// webImage brings the tests' own servers to the nodes.
func (c *cluster) webImage(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	binary, tar := filepath.Join(dir, "web"), filepath.Join(dir, "web.tar")
	for _, args := range [][]string{
		{"go", "build", "-C", "test/e2e", "-trimpath", "-o", binary, "./web"},
		{"go", "build", "-C", "hack/tools/image", "-o", dir + "/image", "."},
		{dir + "/image", "-out", tar, "-tag", web, binary},
		append(slices.Clone(c.load), tar),
	} {
		cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
}

func (c *cluster) internalIP(t *testing.T, node string) string {
	t.Helper()
	return c.run(t, "get", "node", node, `--output=jsonpath={.status.addresses[?(@.type=="InternalIP")].address}`)
}

// backend is the tenant's service: a pod on the client node, and the objects that
// publish it.
func (s *site) backend(t *testing.T) {
	t.Helper()
	s.publish(t, "e2e-backend")
}

// publish is backend with another name for the pod.
func (s *site) publish(t *testing.T, server string) {
	t.Helper()
	s.with(t, pod("default", server, s.tenant, nil, "-listen=:8080"), "apply", "-f", "-")
	t.Cleanup(func() {
		s.run(t, "delete", "pod", "-n", "default", server, "--ignore-not-found", "--grace-period=1")
	})
	s.run(t, "wait", "--for=condition=Ready", "--timeout=1m", "-n", "default", "pod/"+server)
	s.with(t, loadBalancer(s.namespace, "shop", "  upstream-clusters: [e2e]"), "apply", "-f", "-")
	s.with(t, fmt.Sprintf(`
apiVersion: epic.acnodal.io/v1
kind: RemoteEndpoint
metadata:
  namespace: %s
  name: backend
  labels: {epic.acnodal.io/owning-loadbalancer: shop}
spec: {cluster: e2e, address: %s, node-address: %s, port: {port: 8080, protocol: TCP}}
`, s.namespace, s.podIP(t, server), s.internalIP(t, s.tenant)), "apply", "-f", "-")
	s.address = s.run(t, "get", "-n", s.namespace, "loadbalancers.epic.acnodal.io", "shop", "--output=jsonpath={.spec.public-address}")
	s.url = "http://" + s.address + ":8888/"
}

func (s *site) podIP(t *testing.T, server string) string {
	t.Helper()
	return s.run(t, "get", "pod", "-n", "default", server, "--output=jsonpath={.status.podIP}")
}

// proxy stands for Envoy. It serves at the public address, and ends if it does not
// have that when it starts.
func (s *site) proxy(t *testing.T) {
	t.Helper()
	labels := map[string]string{
		"app.kubernetes.io/part-of": "epic", "app.kubernetes.io/component": "envoy-deployment",
		"epic.acnodal.io/owning-loadbalancer": "shop",
	}
	s.with(t, pod(s.namespace, "proxy", s.gateway, labels, "-listen="+s.address+":8888", "-forward=http://"+s.podIP(t, "e2e-backend")+":8080"), "apply", "-f", "-")
	s.run(t, "wait", "--for=condition=Ready", "--timeout=1m", "-n", s.namespace, "pod/proxy")
	// In the place of a routing daemon and the network's routers.
	via := s.internalIP(t, s.gateway)
	command(t, "ip", "route", "replace", s.address+"/32", "via", via)
	t.Cleanup(func() { command(t, "ip", "route", "del", s.address+"/32", "via", via) })
}

func pod(namespace, name, node string, labels map[string]string, args ...string) string {
	object := map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"namespace": namespace, "name": name, "labels": labels},
		"spec": map[string]any{
			"nodeSelector":                  map[string]string{corev1.LabelHostname: node},
			"terminationGracePeriodSeconds": 1,
			"restartPolicy":                 "Never",
			"containers": []any{map[string]any{
				"name": "web", "image": web, "imagePullPolicy": "IfNotPresent", "args": args,
			}},
		},
	}
	data, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	return string(data)
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// status asks the node program of a DaemonSet that runs on one node.
func (s *site) status(t *testing.T, namespace, name string) tunnelReport {
	t.Helper()
	var r tunnelReport
	out := s.run(t, "exec", "--namespace", namespace, "daemonset/"+name, "--", "/epic-node", "status", "-o", "json")
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	return r
}

func (s *site) ends(t *testing.T) (gateway, client tunnelReport) {
	t.Helper()
	return s.status(t, "epic-node", "epic-node"), s.status(t, "epic-client", "epic-node-client")
}

// get sends one request on a separate connection.
func (s *site) get() (string, error) { return s.getWith("") }

// getWith is get with a query.
func (s *site) getWith(query string) (string, error) {
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get(s.url + query)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, body)
	}
	return string(body), err
}

func (s *site) testReached(t *testing.T) {
	eventually(t, time.Minute, func() string {
		gateway, client := s.ends(t)
		if len(gateway.Tunnels) != 1 || len(client.Tunnels) != 1 || gateway.Tunnels[0].State != "up" || client.Tunnels[0].State != "up" {
			return fmt.Sprintf("the tunnels are\n%+v\n%+v", gateway, client)
		}
		return ""
	})
	gateway, client := s.ends(t)
	if p := gateway.Proxies; len(p) != 1 || !slices.Equal(p[0].Addresses, []string{s.address}) {
		t.Errorf("The gateway's proxies are %+v", p)
	}
	if len(gateway.Problems)+len(client.Problems) > 0 {
		t.Errorf("There are problems: %q, %q", gateway.Problems, client.Problems)
	}
	const requests = 20
	for range requests {
		answer, err := s.get()
		if err != nil {
			t.Fatal(err)
		}
		// The tenant's pod sees the public address.
		wants(t, "the answer", answer, "e2e-backend "+s.address+":")
	}
	// A request is a SYN, an ACK, data, an answer and two FINs at least: two packets
	// each way, however they are merged.
	after, tenant := s.ends(t)
	for what, n := range map[string]uint64{
		"the gateway sent":     after.Tunnels[0].Counters["SentPackets"] - gateway.Tunnels[0].Counters["SentPackets"],
		"the gateway received": after.Tunnels[0].Counters["ReceivedPackets"] - gateway.Tunnels[0].Counters["ReceivedPackets"],
		"the tenant sent":      tenant.Tunnels[0].Counters["SentPackets"] - client.Tunnels[0].Counters["SentPackets"],
		"the tenant received":  tenant.Tunnels[0].Counters["ReceivedPackets"] - client.Tunnels[0].Counters["ReceivedPackets"],
	} {
		if n < 2*requests {
			t.Errorf("For %d requests %s %d packets through the tunnel: %+v", requests, what, n, after.Tunnels)
		}
	}
	wants(t, "the published interface", s.run(t, "get", "-n", s.namespace, "loadbalancers.epic.acnodal.io", "shop", "--output=jsonpath={.status.proxy-if-info}"),
		s.internalIP(t, s.gateway))
	// The controller sets conditions on every kind, with the rights that its manifest gives it.
	for name, namespace := range map[string]string{
		"epics.epic.acnodal.io/epic": "epic", "serviceprefixes.epic.acnodal.io/e2e": "epic",
		"accounts.epic.acnodal.io/tunnels": s.namespace, "lbservicegroups.epic.acnodal.io/web": s.namespace,
		"loadbalancers.epic.acnodal.io/shop": s.namespace, "remoteendpoints.epic.acnodal.io/backend": s.namespace,
	} {
		s.run(t, "wait", "--for=condition=Ready", "--timeout=2m", "-n", namespace, name)
	}
	out, _ := s.epicctl(t, "admin", "--as-group=system:masters", "status")
	wants(t, "epicctl status", out, "ready on 1 of 1 nodes", "node "+s.internalIP(t, s.gateway), s.gateway+", version ")
}

// Somebody deletes the proxy's second interface: the node program enters the pod's
// network namespace, with the rights that its manifest gives it, and makes another.
func (s *site) testMended(t *testing.T) {
	gateway, _ := s.ends(t)
	before := gateway.Proxies[0].Interface
	if out, err := script("hack/cluster.sh", "exec", s.gateway, "ip", "link", "del", before).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	eventually(t, time.Minute, func() string {
		if _, err := s.get(); err != nil {
			return err.Error()
		}
		return ""
	})
}

// Both programs are replaced while requests come in, one after the other.
func (s *site) testReplaced(t *testing.T) {
	aside(t, ".epic/overlay")
	aside(t, ".epic/gateway")
	if err := s.images("v2"); err != nil {
		t.Fatal(err)
	}
	for _, step := range [][2]string{{"An overlay of your own", "dev"}, {"Upgrade", "v2"}} {
		if err := s.documented(step[0], "VERSION="+step[1]); err != nil {
			t.Fatal(err)
		}
	}
	var asked atomic.Int64
	var mu sync.Mutex
	var failed []string
	done := make(chan struct{})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(5 * time.Millisecond):
				}
				begin := time.Now()
				_, err := s.get()
				asked.Add(1)
				if err != nil {
					mu.Lock()
					failed = append(failed, fmt.Sprintf("%s after %s: %v", begin.Format(time.TimeOnly), time.Since(begin), err))
					mu.Unlock()
				}
			}
		})
	}
	for _, heading := range []string{"Upgrade gateway nodes", "Upgrade client nodes"} {
		if err := s.documented(heading); err != nil {
			t.Error(err)
		}
		before := asked.Load()
		eventually(t, time.Minute, func() string {
			if asked.Load() < before+100 {
				return "few requests come through after the restart"
			}
			return ""
		})
	}
	close(done)
	group.Wait()
	t.Logf("%d requests, %d failed", asked.Load(), len(failed))
	for _, f := range failed[:min(len(failed), 10)] {
		t.Error(f)
	}
	for namespace, name := range map[string]string{"epic-node": "epic-node", "epic-client": "epic-node-client"} {
		if image := s.run(t, "get", "daemonset", "-n", namespace, name, "-o", "jsonpath={.spec.template.spec.containers[0].image}"); !strings.HasSuffix(image, ":v2") {
			t.Errorf("%s runs %s", name, image)
		}
	}
	gateway, client := s.ends(t)
	if gateway.Source != "api" || client.Source != "api" {
		t.Errorf("The states are from %s and %s", gateway.Source, client.Source)
	}
}

// Pods that are no proxies start on a gateway node; a proxy of nothing does not, and
// explains why.
func (s *site) testOtherPods(t *testing.T) {
	s.with(t, pod("default", "e2e-other", s.gateway, nil), "apply", "-f", "-")
	defer s.run(t, "delete", "pod", "-n", "default", "e2e-other", "--grace-period=1")
	s.run(t, "wait", "--for=condition=Ready", "--timeout=1m", "-n", "default", "pod/e2e-other")
	labels := map[string]string{
		"app.kubernetes.io/part-of": "epic", "app.kubernetes.io/component": "envoy-deployment",
		"epic.acnodal.io/owning-loadbalancer": "nobody",
	}
	s.with(t, pod(s.namespace, "stray", s.gateway, labels), "apply", "-f", "-")
	defer s.run(t, "delete", "pod", "-n", s.namespace, "stray", "--grace-period=1")
	eventually(t, time.Minute, func() string {
		events := s.run(t, "get", "events", "-n", s.namespace, "--field-selector=involvedObject.name=stray", "--output=jsonpath={.items[*].message}")
		if !strings.Contains(events, "epic-cni") || !strings.Contains(events, "nobody") {
			return "the events of a proxy of nothing are: " + events
		}
		return ""
	})
}

// remove takes the node programs away, as it is documented.
func (s *site) remove(t *testing.T) {
	t.Helper()
	s.removed = true
	s.run(t, "delete", "pod", "-n", s.namespace, "--all", "--grace-period=1")
	for _, heading := range []string{"Remove client nodes", "Remove gateway nodes"} {
		if err := s.documented(heading); err != nil {
			t.Error(err)
		}
	}
}

// What the programs make on a node: how to find it, and on which nodes it has to be
// there while they run.
var made = []struct {
	what         string
	gateway      bool
	tenant       bool
	command      []string
	lines, never string
}{
	{what: "interfaces", gateway: true, command: []string{"ip", "-details", "-oneline", "link"}, lines: "epic"},
	{what: "routes", gateway: true, command: []string{"ip", "route", "show", "table", "all", "proto", "233"}},
	{what: "IPv6 routes", command: []string{"ip", "-6", "route", "show", "table", "all", "proto", "233"}},
	{what: "rules", gateway: true, command: []string{"ip", "rule", "show", "priority", "6080"}},
	{what: "IPv6 rules", command: []string{"ip", "-6", "rule", "show", "priority", "6080"}},
	{what: "nftables", gateway: true, tenant: true, command: []string{"nft", "list", "tables"}, lines: "epic"},
	// Attachments are pinned too. What ends in .debug is every bpffs's own.
	{what: "pins", gateway: true, tenant: true, command: []string{"find", "/sys/fs/bpf", "-mindepth", "1"}, never: ".debug"},
	{what: "network", gateway: true, command: []string{"find", "/etc/cni/net.d", "-type", "f", "-exec", "grep", "-l", "epic-cni", "{}", "+"}},
	{what: "plugin", gateway: true, command: []string{"find", "/opt/cni/bin", "-type", "f"}},
	{what: "state", gateway: true, tenant: true, command: []string{"find", "/var/lib/epic-node", "-type", "f"}, never: "/lock"},
}

// left reports which of them there are.
func (s *site) left(t *testing.T, node string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, m := range made {
		cmd := script("hack/cluster.sh", append([]string{"exec", node}, m.command...)...)
		out, err := cmd.Output()
		// find hands on that grep found nothing.
		if err != nil && m.what != "network" {
			t.Errorf("%s: %s: %v", node, cmd, err)
		}
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, m.lines) && (m.never == "" || !strings.Contains(line, m.never)) {
				found[m.what] += line
			}
		}
	}
	return found
}

func (s *site) testRemoved(t *testing.T) {
	for node, is := range map[string]func(int) bool{
		s.gateway: func(i int) bool { return made[i].gateway },
		s.tenant:  func(i int) bool { return made[i].tenant },
	} {
		found := s.left(t, node)
		for i, m := range made {
			if is(i) && found[m.what] == "" {
				t.Errorf("While the program runs, %s shows no %s", node, m.what)
			}
		}
	}
	s.remove(t)
	for _, node := range []string{s.gateway, s.tenant} {
		for what, text := range s.left(t, node) {
			t.Errorf("On %s are left %s:\n%s", node, what, text)
		}
	}
	// Pods start as before.
	s.with(t, pod("default", "e2e-after", s.gateway, nil), "apply", "-f", "-")
	defer s.run(t, "delete", "pod", "-n", "default", "e2e-after", "--grace-period=1")
	s.run(t, "wait", "--for=condition=Ready", "--timeout=1m", "-n", "default", "pod/e2e-after")
}

// explain shows what went wrong.
func (s *site) explain(t *testing.T) {
	t.Helper()
	for _, args := range [][]string{
		{"get", "pods", "-A", "-o", "wide"},
		{"get", "events", "-n", s.namespace},
		{"logs", "-n", "epic-node", "-l", "app.kubernetes.io/part-of=epic", "--tail=40"},
		{"logs", "-n", "epic-client", "-l", "app.kubernetes.io/part-of=epic", "--tail=40"},
		{"exec", "-n", "epic-node", "daemonset/epic-node", "--", "/epic-node", "status"},
		{"exec", "-n", "epic-client", "daemonset/epic-node-client", "--", "/epic-node", "status"},
	} {
		out, _ := s.try("", args...)
		t.Logf("kubectl %s:\n%s", strings.Join(args, " "), out)
	}
}
