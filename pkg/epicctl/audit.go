// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
)

type audit struct {
	*tool
	print *genericclioptions.PrintFlags
}

func newAudit(t *tool) *cobra.Command {
	o := &audit{tool: t, print: newPrintFlags()}
	c := &cobra.Command{
		Use:   "audit [flags]",
		Short: "Compare all objects with the IDs, addresses and quota slots that they hold",
		Long: "Compare all objects with the IDs, addresses and quota slots that they hold,\n" +
			"read at the same revision. The exit code is 1 if they differ.",
		Example:           "  epicctl audit -o json",
		Args:              exactly(),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(c *cobra.Command, _ []string) error { return o.run(c.Context()) },
	}
	o.print.AddFlags(c)
	completeOutput(c, o.print)
	return c
}

func (o *audit) run(ctx context.Context) error {
	printer, err := objectPrinter(o.print, "")
	if err != nil {
		return err
	}
	client, err := o.epic()
	if err != nil {
		return err
	}
	report, err := getAudit(ctx, client)
	if err != nil {
		return err
	}
	if printer != nil {
		report.TypeMeta = metav1.TypeMeta{APIVersion: v1.SchemeGroupVersion.String(), Kind: "ClaimAudit"}
		err = printer.print(o.Out, report)
	} else {
		err = printAudit(o.Out, report)
	}
	if err == nil && !report.Clean {
		err = &unhealthyError{}
	}
	return err
}

func getAudit(ctx context.Context, client versioned.Interface) (*v1.ClaimAudit, error) {
	report, err := client.EpicV1().EPICs(epic.ConfigNamespace).Audit(ctx, epic.ConfigName, metav1.GetOptions{})
	return report, right{"get", "epics/audit." + v1.GroupName, epic.ConfigNamespace}.explain(err)
}

func printAudit(w io.Writer, report *v1.ClaimAudit) error {
	fmt.Fprintf(w, "Compared %s and %s at revision %d.\n",
		count(int(report.Objects), "object", "objects"), count(int(report.Claims), "claim", "claims"), report.Revision)
	if report.Clean {
		fmt.Fprintln(w, "They agree.")
		return nil
	}
	fmt.Fprintf(w, "They differ in %s:\n\n", count(len(report.Problems), "place", "places"))
	var rows [][]any
	for _, p := range report.Problems {
		object := none
		if p.Name != "" {
			object = fmt.Sprintf("%s %s/%s", p.Resource, p.Namespace, p.Name)
		}
		rows = append(rows, []any{string(p.Type), line(p.Claim), line(object), orNone(p.Message)})
	}
	if err := printTable(w, false, false, []column{{name: "Problem"}, {name: "Claim"}, {name: "Object"}, {name: "What it is"}}, rows); err != nil {
		return err
	}
	fmt.Fprint(w, "\nThis is not repaired automatically. Stop writes, save a snapshot of etcd\n"+
		"(\"epic-apiserver snapshot --help\"), and report it with this list.\n")
	return nil
}
