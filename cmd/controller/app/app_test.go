// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	testserver "github.com/acnodal/epic/pkg/apiserver/testing"
	"github.com/acnodal/epic/pkg/cli/clitest"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/test/tools/process"
)

// programEnv makes this test binary be the program, so tests see exit
// codes, signals and what is printed.
const programEnv = "EPIC_TEST_PROGRAM"

const patience = time.Minute

func TestMain(m *testing.M) {
	if os.Getenv(programEnv) != "" {
		os.Exit(Main(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func command(ctx context.Context, args ...string) (cmd *exec.Cmd, out *process.Output) {
	out = &process.Output{}
	cmd = exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), programEnv+"=1", "KUBECONFIG=", "HOME=/nonexistent")
	cmd.Stdout, cmd.Stderr = out, out
	return cmd, out
}

// runProgram runs the program to its end.
func runProgram(t *testing.T, args ...string) (code int, out string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd, buf := command(ctx, args...)
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), buf.String()
}

func TestRefusals(t *testing.T) {
	for want, args := range map[string][]string{
		"--workers is 0":      {"--workers=0"},
		"--resync is -1s":     {"--resync=-1s"},
		"at least 5m0s":       {"--node-timeout=4m"},
		"--node-timeout is -": {"--node-timeout=-1h"},
		"allow no request":    {"--kube-api-burst=0"},
		"are inconsistent":    {"--leader-elect-renew-deadline=20s"},
		"set whole seconds":   {"--leader-elect-lease-duration=15500ms"},
		"lists the flags":     {"--no-such-flag"},
		"is not a command":    {"serve"},
		"set --kubeconfig":    {},
		"no such file":        {"--kubeconfig=/nonexistent/file"},
		"--logging-format and the other flags on logs: f": {"--logging-format=xml"},
	} {
		code, out := runProgram(t, args...)
		if code != 1 || !strings.Contains(out, want) || strings.Count(out, "\n") != 1 {
			t.Errorf("%v: code %d, %q does not say %q in a line", args, code, out, want)
		}
	}
}

func TestHelpAndVersion(t *testing.T) {
	clitest.CheckHelp(t, newCommand())
	for _, group := range []string{"API server:", "Work:", "Leader election:", "Observation:", "Logs:"} {
		if _, out := runProgram(t, "--help"); !strings.Contains(out, "\n"+group+"\n") {
			t.Errorf("The help has no group %q:\n%s", group, out)
		}
	}
	if code, out := runProgram(t, "version"); code != 0 || !strings.HasPrefix(out, "epic-controller ") || !strings.Contains(out, "\nkubernetes 1.") {
		t.Errorf("code %d, %q", code, out)
	}
}

// get returns the status and the body of a page of the program.
func get(t *testing.T, address, path string) (int, string) {
	t.Helper()
	resp, err := http.Get("http://" + address + path)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

// start starts the program and returns where it serves its metrics.
func start(t *testing.T, args ...string) (cmd *exec.Cmd, out *process.Output, address string) {
	t.Helper()
	cmd, out = command(t.Context(), append(args, "--bind-address=127.0.0.1:0")...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		if t.Failed() {
			t.Logf("the program printed:\n%s", out)
		}
	})
	serving := regexp.MustCompile(`address="([^"]+)"`)
	until(t, "the program serves", func() bool { return serving.MatchString(out.String()) })
	return cmd, out, serving.FindStringSubmatch(out.String())[1]
}

// TestAlone runs the program next to a standalone API server.
func TestAlone(t *testing.T) {
	server := testserver.StartTestServer(t)
	code, out := runProgram(t, "--kubeconfig="+server.Kubeconfig)
	if code != 1 || !strings.Contains(out, "--leader-elect=false") {
		t.Errorf("with leader election: code %d, %q", code, out)
	}

	cmd, log, address := start(t, "--kubeconfig="+server.Kubeconfig, "--leader-elect=false")
	until(t, "it is ready", func() bool { code, _ := get(t, address, "/readyz"); return code == http.StatusOK })
	for _, path := range []string{"/healthz", "/livez"} {
		if code, body := get(t, address, path); code != http.StatusOK {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	client, err := versioned.NewForConfig(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	createLoadBalancer(t, client)
	until(t, "it works", func() bool {
		lb, err := client.EpicV1().LoadBalancers("epic-one").Get(t.Context(), "web", metav1.GetOptions{})
		return err == nil && len(lb.Status.Conditions) == 3
	})
	var body string
	until(t, "it counts", func() bool {
		_, body = get(t, address, "/metrics")
		return strings.Contains(body, `epic_controller_objects{kind="loadbalancers",reason="NoEndpoints"} 1`) &&
			strings.Contains(body, `epic_controller_reconciles_total{kind="loadbalancers",result="written"} 1`)
	})
	checkDocumented(t, body)
	for _, want := range []string{`workqueue_depth{name="gwproxies"`, "rest_client_requests_total"} {
		if !strings.Contains(body, want) {
			t.Errorf("the metrics have no %s", want)
		}
	}

	begin := time.Now()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || !strings.Contains(log.String(), "Stopped") {
		t.Errorf("it ended with %v after %s", err, time.Since(begin))
	}
}

// TestNoServer checks that a controller whose API server is away is not ready, and
// goes when it is told to.
func TestNoServer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kubeconfig")
	config := `{apiVersion: v1, kind: Config, current-context: a, contexts: [{name: a, context: {cluster: a}}], clusters: [{name: a, cluster: {server: "http://127.0.0.1:9"}}]}`
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, elect := range []bool{true, false} {
		cmd, log, address := start(t, "--kubeconfig="+file, fmt.Sprintf("--leader-elect=%v", elect))
		code, body := get(t, address, "/readyz?verbose")
		if code != http.StatusInternalServerError || !strings.Contains(body, "[-]caches") || strings.Contains(body, "[-]leader-known") != elect {
			t.Errorf("/readyz: %d %s", code, body)
		}
		if code, body := get(t, address, "/livez"); code != http.StatusOK {
			t.Errorf("/livez: %d %s", code, body)
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil || !strings.Contains(log.String(), "Stopped") {
			t.Errorf("it ended with %v", err)
		}
	}
}

func TestAddressInUse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kubeconfig")
	config := `{apiVersion: v1, kind: Config, current-context: a, contexts: [{name: a, context: {cluster: a}}], clusters: [{name: a, cluster: {server: "http://127.0.0.1:9"}}]}`
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, address := start(t, "--kubeconfig="+file)
	if code, out := runProgram(t, "--kubeconfig="+file, "--bind-address="+address); code != 1 || !strings.Contains(out, "epic-controller: --bind-address: ") {
		t.Errorf("code %d, %q", code, out)
	}
}

// checkDocumented compares the program's own metrics with those that
// docs/controller.md lists.
func checkDocumented(t *testing.T, body string) {
	t.Helper()
	doc, err := os.ReadFile("../../../docs/controller.md")
	if err != nil {
		t.Fatal(err)
	}
	names := func(pattern, s string) []string {
		var all []string
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(s, -1) {
			all = append(all, m[1])
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	served, listed := names(`(?m)^# TYPE (epic_controller_\w+)`, body), names("(?m)^\\| `(epic_controller_\\w+)`", string(doc))
	if !slices.Equal(served, listed) {
		t.Errorf("served are\n%v\nlisted are\n%v", served, listed)
	}
	for _, name := range constants(t) {
		if !strings.Contains(string(doc), "`"+name+"`") {
			t.Errorf("the condition or reason %s is not listed", name)
		}
	}
}

// constants are the values of all conditions and reasons that the controller and
// package endpoints declare.
func constants(t *testing.T) []string {
	t.Helper()
	var values []string
	for _, file := range []string{"../../../pkg/controller/reasons.go", "../../../pkg/endpoints/problem.go"} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(`(?m)^\t(?:Condition|Reason)\w+\s+= "(\w+)"$`).FindAllStringSubmatch(string(source), -1)
		if len(found) < 5 {
			t.Fatalf("%s declares only %d", file, len(found))
		}
		for _, m := range found {
			values = append(values, m[1])
		}
	}
	return values
}

func createLoadBalancer(t *testing.T, client versioned.Interface) {
	t.Helper()
	ctx, api := t.Context(), client.EpicV1()
	check := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(api.EPICs(epic.ConfigNamespace).Create(ctx, &epicv1.EPIC{ObjectMeta: metav1.ObjectMeta{Name: epic.ConfigName}}, metav1.CreateOptions{}))
	check(api.ServicePrefixes(epic.ConfigNamespace).Create(ctx, &epicv1.ServicePrefix{
		ObjectMeta: metav1.ObjectMeta{Name: "pool"},
		Spec:       epicv1.ServicePrefixSpec{PublicPool: &epicv1.AddressPool{Pool: "192.0.2.0/24", Subnet: "192.0.2.0/24", Aggregation: "default"}},
	}, metav1.CreateOptions{}))
	check(api.LBServiceGroups(epic.ConfigNamespace).Create(ctx, &epicv1.LBServiceGroup{
		ObjectMeta: metav1.ObjectMeta{Name: "offered", Labels: map[string]string{epic.OwningServicePrefixLabel: "pool"}},
	}, metav1.CreateOptions{}))
	check(api.Accounts("epic-one").Create(ctx, &epicv1.Account{ObjectMeta: metav1.ObjectMeta{Name: "one"}}, metav1.CreateOptions{}))
	check(api.LoadBalancers("epic-one").Create(ctx, &epicv1.LoadBalancer{
		ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: epicv1.LoadBalancerSpec{ServiceGroup: "offered"},
	}, metav1.CreateOptions{}))
}
