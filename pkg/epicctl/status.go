// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"

	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
)

// verdict is the outcome of one check.
type verdict string

const (
	verdictOK   verdict = "OK"
	verdictWarn verdict = "WARN"
	verdictFail verdict = "FAIL"
)

// finding is what one check found.
type finding struct {
	check   string
	verdict verdict
	detail  string
	// wayOut says what to do about it.
	wayOut string
}

// status is one look at an installation.
type status struct {
	*tool
	kubeClient kubernetes.Interface
	epicClient versioned.Interface
	around     surroundings
	// epic is the configuration object, or nil where it can't be seen.
	epic *v1.EPIC
	// reports are what gateway nodes report, by address, and objects their objects, for
	// those that have one.
	reports map[string]v1.EPICNodeStatus
	objects map[string]*v1.GatewayNode
	// service is where the kube-apiserver sends requests to EPIC's servers.
	service  *serviceReference
	findings []finding
}

func newStatus(t *tool) *cobra.Command {
	return &cobra.Command{
		Use:   "status [flags]",
		Short: "Say whether everything is there and well",
		Long: "Say whether everything is there and well: the API and its servers, etcd, the\n" +
			"configuration, the addresses, the controller, the Envoys, the nodes, and the claims.\n\n" +
			"WARN is for what you should look at, and for what you may not see. The exit code is\n" +
			"1 if a check fails.",
		Example:           "  epicctl status",
		Args:              exactly(),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			s := &status{tool: t}
			return s.run(c.Context())
		},
	}
}

func (s *status) ok(check, format string, args ...any) {
	s.findings = append(s.findings, finding{check: check, verdict: verdictOK, detail: fmt.Sprintf(format, args...)})
}

func (s *status) warn(check, wayOut, format string, args ...any) {
	s.findings = append(s.findings, finding{check: check, verdict: verdictWarn, detail: fmt.Sprintf(format, args...), wayOut: wayOut})
}

func (s *status) fail(check, wayOut, format string, args ...any) {
	s.findings = append(s.findings, finding{check: check, verdict: verdictFail, detail: fmt.Sprintf(format, args...), wayOut: wayOut})
}

// failed reports an error: what the caller may not see is not broken.
func (s *status) failed(check string, r right, err error) {
	if deniedByRBAC(err) {
		s.warn(check, r.wayOut(), "unknown: you may not %s", r)
		return
	}
	s.fail(check, "", "%v", r.explain(err))
}

func (s *status) run(ctx context.Context) (err error) {
	if s.kubeClient, s.epicClient, err = s.clients(); err != nil {
		return err
	}
	if s.reachable() {
		s.checkAPIService(ctx)
		s.checkReplicas(ctx)
		s.checkReadiness(ctx)
		if s.checkAPI() {
			s.checkEPIC(ctx)
			s.checkPrefixes(ctx)
			s.checkController(ctx)
			s.checkEnvoys(ctx)
			s.readReports(ctx)
			s.checkNodes(ctx)
			s.checkHeartbeats()
			s.checkClaims(ctx)
		}
	}
	if err := s.report(); err != nil {
		return err
	}
	for _, f := range s.findings {
		if f.verdict == verdictFail {
			return &notWellError{}
		}
	}
	return nil
}

// report prints the table, below it what did not fit there, and what to do.
func (s *status) report() error {
	var rows [][]any
	var long []finding
	for _, f := range s.findings {
		short := summary(f.detail)
		if strings.HasSuffix(short, " …") {
			long = append(long, f)
		}
		rows = append(rows, []any{f.check, string(f.verdict), short})
	}
	if err := printTable(s.Out, false, false, []column{{name: "Check"}, {name: "Result"}, {name: "Detail"}}, rows); err != nil {
		return err
	}
	if len(long) > 0 {
		fmt.Fprintln(s.Out, "\nIn full:")
		for _, f := range long {
			fmt.Fprintf(s.Out, "  %s:\n", f.check)
			for _, text := range wrapped(f.detail, widest) {
				fmt.Fprintf(s.Out, "    %s\n", text)
			}
		}
	}
	first := true
	for _, f := range s.findings {
		if f.wayOut == "" {
			continue
		}
		if first {
			fmt.Fprintln(s.Out, "\nWhat to do:")
			first = false
		}
		fmt.Fprintf(s.Out, "  %s: %s\n", f.check, strings.TrimSpace(line(f.wayOut)))
	}
	return nil
}
