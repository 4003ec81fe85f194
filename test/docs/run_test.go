// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/acnodal/epic/test/netlab"
)

// onGateway is README's example of a field selector, which finds the sample.
const onGateway = "kubectl get lb,gwp -A --field-selector status.epic-node=192.0.2.40"

// TestCommands runs the commands of all pages next to one server: the blocks in the
// order in which they stand, and code in lines that is a whole command.
func TestCommands(t *testing.T) {
	all := pages(t)
	e := newEnvironment(t)
	e.start(t)
	// Where it is when nothing else is said.
	link := filepath.Join(e.workspace, ".epic")
	if err := os.Symlink(e.dir, link); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(link) })
	e.checkKinds(t)
	for _, p := range all {
		t.Run(p.name, func(t *testing.T) {
			for _, b := range p.blocks {
				switch b.info {
				case besideServer:
				case inWorld:
					if !isRoot() {
						netlab.Require(t) // skips, or fails where nothing may be skipped
					}
				case inNamespace:
					runInNamespace(t, b)
					continue
				case flagsOnly:
					b.text = askHelp(b.text)
				case manifests:
					e.dryRun(t, b)
					continue
				default:
					continue
				}
				if out, err := e.sh(t.Context(), b.text); err != nil {
					t.Fatalf("%s:%d: %v\n%s\n%s", b.page, b.line, err, b.text, out)
				}
			}
			for _, code := range p.inline {
				e.checkInline(t, code)
			}
			if out, err := e.sh(t.Context(), onGateway); isRoot() && p.name == "README.md" && (err != nil || !strings.Contains(out, "sample-acnodal") || !strings.Contains(read(t, p.name), onGateway)) {
				t.Errorf("%s finds nothing: %v\n%s", onGateway, err, out)
			}
		})
	}
}

// askHelp turns each command of a block into a question for its help, which fails if the
// command or a flag does not exist.
func askHelp(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if strings.TrimSpace(line) != "" && !strings.HasSuffix(line, "\\") {
			// Arguments after "--" belong to another program.
			own, other, ends := strings.Cut(line, " -- ")
			line = own + " --help"
			if ends {
				line += " -- " + other
			}
		}
		out.WriteString(line + "\n")
	}
	return out.String()
}

// runInNamespace runs a block by root, where it can change nothing of this machine.
func runInNamespace(t *testing.T, b block) {
	t.Helper()
	netlab.Require(t)
	lab := netlab.Test(t)
	n, err := lab.Namespace("docs")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := n.Run(t.Context(), "bash", "-euo", "pipefail", "-c", b.text); err != nil {
		t.Errorf("%s:%d: %v\n%s", b.page, b.line, err, out)
	}
}

// dryRun has the server check a block's manifests, if they are of EPIC's kinds.
func (e *environment) dryRun(t *testing.T, b block) {
	t.Helper()
	if !strings.Contains(b.text, "apiVersion: epic.acnodal.io/v1") {
		return
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(e.workspace, "bin", "kubectl"), "apply", "--dry-run=server", "--validate=strict", "-f", "-")
	cmd.Env, cmd.Dir, cmd.Stdin = e.env(), e.workspace, strings.NewReader(b.text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s:%d: %v\n%s", b.page, b.line, err, out)
	}
}

// programs are those of "make build".
var programs = []string{"kubectl", "epicctl", "epic-apiserver", "epic-controller", "epic-node", "epic-operator", "epic-proxy"}

// reading are the commands that change nothing, and so are run from lines too.
var reading = []string{"kubectl get ", "kubectl describe ", "kubectl explain ", "kubectl api-resources", "kubectl wait ", "epicctl status", "epicctl audit", "epicctl get ", "epicctl describe ", "epicctl version"}

// elsewhere is what commands that need a whole cluster or another machine name.
var elsewhere = []string{"epic-system", "epic-node exec", "apiservice", "epicctl create kubeconfig", "/proxy/", "kubectl get pods"}

// checkInline runs code in a line that is a whole command and changes nothing. Of
// other commands it checks that they and their flags exist.
func (e *environment) checkInline(t *testing.T, code inline) {
	t.Helper()
	words := strings.Fields(code.text)
	flag := ""
	switch name := strings.TrimPrefix(words[0], "bin/"); {
	case words[0] == "make" && len(words) > 1:
		if !strings.Contains(read(t, "Makefile"), "\n"+words[1]+":") {
			t.Errorf("%s:%d: make has no target %s", code.page, code.line, words[1])
		}
		return
	case strings.HasPrefix(words[0], "hack/") && strings.HasSuffix(words[0], ".sh"):
		read(t, words[0])
		return
	case !slices.Contains(programs, name) || len(words) == 1:
		return
	case strings.Contains(code.text, "…") || strings.Contains(code.text, "..."):
		return
	case len(words) == 2 && words[0] == "kubectl":
		code.text += " --help"
	case !placeholder.MatchString(code.text) && slices.ContainsFunc(reading, func(r string) bool { return strings.HasPrefix(code.text+" ", r) }) &&
		!slices.ContainsFunc(elsewhere, func(s string) bool { return strings.Contains(code.text, s) }):
		if out, err := e.sh(t.Context(), code.text); err != nil {
			t.Errorf("%s:%d: %s: %v\n%s", code.page, code.line, code.text, err, out)
		}
		return
	case strings.Contains(code.text, "--help"):
	case strings.Contains(code.text, " -- "):
		code.text = code.text[:strings.Index(code.text, " -- ")] + " --help"
	default:
		// A flag at the end, whose value a sentence leaves out, would take --help for it.
		if last := words[len(words)-1]; strings.HasPrefix(last, "--") && !strings.Contains(last, "=") {
			code.text, flag = strings.TrimSuffix(code.text, last), last
		}
		code.text += " --help"
	}
	out, err := e.sh(t.Context(), code.text)
	if !strings.Contains(out, flag) {
		t.Errorf("%s:%d: %s has no flag %s:\n%s", code.page, code.line, code.text, flag, out)
	}
	if err != nil {
		t.Errorf("%s:%d: %s: %v\n%s", code.page, code.line, code.text, err, out)
	}
	// A word that is no command leads to the help of the command before it.
	if sub := words[1]; words[0] != "kubectl" && !strings.HasPrefix(sub, "-") && !strings.Contains(out, strings.TrimPrefix(words[0], "bin/")+" "+sub) {
		t.Errorf("%s:%d: %s has no command %s:\n%s", code.page, code.line, words[0], sub, out)
	}
}

// placeholder is a word that the reader replaces, such as epic-ACCOUNT.
var placeholder = regexp.MustCompile(`\b[A-Z]{2,}\b`)

// What it prints can be typed: each curl is answered, by an Envoy, and kubectl shows that
// it is ready.
func TestServed(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("Envoy is started on Linux only")
	}
	if out, err := exec.CommandContext(t.Context(), filepath.Join(root, "hack", "envoy.sh")).CombinedOutput(); err != nil {
		t.Skipf("there is no Envoy: %s", out)
	}
	e := newEnvironment(t)
	e.start(t)
	const last = "Everything is ready now."
	for deadline := time.Now().Add(patience); !strings.Contains(e.output.String(), last); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("It does not say %q:\n%s", last, e.output)
		}
	}
	want := []string{"Hello from"}
	if isRoot() {
		want = []string{"Hello from the pod 10.244.0.5", "Hello from the pod 10.244.0.5", "404 Not Found"}
	}
	for line := range strings.Lines(e.output.String()) {
		if !strings.Contains(line, "curl ") {
			continue
		}
		out, err := e.sh(t.Context(), line)
		if err != nil || len(want) == 0 || !strings.Contains(out, want[0]) {
			t.Fatalf("%s: %v\n%s\nwant %q", line, err, out, want)
		}
		want = want[1:]
	}
	if len(want) > 0 {
		t.Errorf("no command has the answers %q:\n%s", want, e.output)
	}
	kinds := "lb/sample-acnodal"
	if isRoot() {
		kinds += " gwp/demo-gateway"
	}
	if out, err := e.sh(t.Context(), "kubectl wait --for=condition=Programmed --timeout=1m -n epic-root "+kinds+" && kubectl get -n epic-root "+kinds); err != nil || !strings.Contains(out, "1/1") {
		t.Errorf("%v\n%s", err, out)
	}
}

// A second run on the first one's directory or port is refused before anything of
// the first is touched, and one with both of its own works.
func TestTwoRuns(t *testing.T) {
	first := newEnvironment(t)
	first.start(t)
	server := filepath.Join(first.dir, "server.log")
	before := contents(t, server)
	for name, test := range map[string]struct {
		env  []string
		want []string
	}{
		"the same":      {nil, []string{"running from " + first.dir, "EPIC_RUN_DIR=" + first.dir + "-2 EPIC_PORT=", "make run"}},
		"its directory": {[]string{"EPIC_PORT=1"}, []string{"running from " + first.dir}},
		"its port":      {[]string{"EPIC_RUN_DIR=" + t.TempDir()}, []string{"is in use", "EPIC_PORT="}},
		"no port":       {[]string{"EPIC_PORT=https", "EPIC_RUN_DIR=" + t.TempDir()}, []string{`EPIC_PORT is "https"`}},
		"a high port":   {[]string{"EPIC_PORT=65536", "EPIC_RUN_DIR=" + t.TempDir()}, []string{"from 1 to 65535"}},
	} {
		t.Run(name, func(t *testing.T) {
			// As make does it, which builds nothing then.
			cmd := exec.CommandContext(t.Context(), "make", "run")
			cmd.Dir, cmd.Env = first.workspace, append(first.env(), test.env...)
			out, err := cmd.CombinedOutput()
			if err == nil || strings.Contains(string(out), "go build") {
				t.Errorf("It was not refused: %v\n%s", err, out)
			}
			for _, want := range test.want {
				if !strings.Contains(string(out), want) {
					t.Errorf("It does not say %q:\n%s", want, out)
				}
			}
		})
	}
	if now := contents(t, server); !strings.HasPrefix(now, before) {
		t.Error("The first run's log was touched")
	}
	second := newEnvironment(t)
	second.start(t)
	for _, e := range []*environment{first, second} {
		if out, err := e.sh(t.Context(), "kubectl get epic epic -n epic && epicctl status"); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
	second.stop(t, syscall.SIGTERM)
	if out, err := first.sh(t.Context(), "kubectl get --raw /readyz"); err != nil {
		t.Errorf("The end of the second one touched the first: %v\n%s", err, out)
	}
}

// Whatever ends it, nothing stays behind: with a signal at once, and after a kill
// when the next run starts.
func TestEnds(t *testing.T) {
	e := newEnvironment(t)
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGKILL, syscall.SIGTERM} {
		e.start(t)
		labs := namespaces(t, e)
		if isRoot() {
			if len(labs) == 0 {
				t.Fatal("There are no namespaces")
			}
			// This makes the directory of names a mount of its own.
			if out, err := e.sh(t.Context(), "ip netns exec "+labs[0]+" true"); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		}
		e.stop(t, signal)
		if signal == syscall.SIGKILL {
			e.start(t)
			e.stop(t, syscall.SIGTERM)
		}
		waitGone(t, e, labs)
	}
}
