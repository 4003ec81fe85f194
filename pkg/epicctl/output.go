// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"
	kubescheme "k8s.io/client-go/kubernetes/scheme"

	epicscheme "github.com/acnodal/epic/pkg/generated/clientset/versioned/scheme"
)

// none is shown for a missing value.
const none = "-"

// wide selects the output with more columns.
const wide = "wide"

// outputScheme contains all types that are printed.
var outputScheme = func() *runtime.Scheme {
	s := runtime.NewScheme()
	utilruntime.Must(kubescheme.AddToScheme(s))
	utilruntime.Must(epicscheme.AddToScheme(s))
	return s
}()

func newPrintFlags() *genericclioptions.PrintFlags {
	return genericclioptions.NewPrintFlags("").WithTypeSetter(outputScheme)
}

// completeOutput completes -o.
func completeOutput(c *cobra.Command, flags *genericclioptions.PrintFlags, more ...string) {
	must(c.RegisterFlagCompletionFunc("output", func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		formats := append(flags.AllowedFormats(), more...)
		slices.Sort(formats)
		return formats, cobra.ShellCompDirectiveNoFileComp
	}))
}

// objectWriter prints objects. It is nil if a message for each is printed instead.
type objectWriter func(w io.Writer, objects ...runtime.Object) error

func (p objectWriter) print(w io.Writer, objects ...runtime.Object) error {
	if p == nil {
		return nil
	}
	return p(w, objects...)
}

// objectPrinter returns the printer selected by -o, or nil without -o and for the format
// that the command prints itself.
func objectPrinter(flags *genericclioptions.PrintFlags, own string) (objectWriter, error) {
	if output := *flags.OutputFormat; output == "" || output == own {
		return nil, nil
	}
	printer, err := flags.ToPrinter()
	if err != nil {
		return nil, &usageError{err}
	}
	oneByOne := *flags.OutputFormat == "name"
	return func(w io.Writer, objects ...runtime.Object) error {
		if oneByOne {
			for _, object := range objects {
				if err := printer.PrintObj(object, w); err != nil {
					return err
				}
			}
			return nil
		}
		if len(objects) == 0 {
			return nil
		}
		if len(objects) == 1 {
			return printer.PrintObj(objects[0], w)
		}
		list := &metav1.List{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "List"}}
		for _, object := range objects {
			list.Items = append(list.Items, runtime.RawExtension{Object: withoutManagedFields(object)})
		}
		return printer.PrintObj(list, w)
	}, nil
}

// withoutManagedFields removes managed fields from the items of a list, as printers do
// for single objects.
func withoutManagedFields(object runtime.Object) runtime.Object {
	if accessor, err := meta.Accessor(object); err == nil {
		accessor.SetManagedFields(nil)
	}
	return object
}

// column is one column of a table.
type column struct {
	name string
	wide bool
}

// printTable prints rows like kubectl.
func printTable(w io.Writer, showWide, noHeaders bool, columns []column, rows [][]any) error {
	table := &metav1.Table{}
	for _, c := range columns {
		priority := int32(0)
		if c.wide {
			priority = 1
		}
		table.ColumnDefinitions = append(table.ColumnDefinitions, metav1.TableColumnDefinition{Name: c.name, Type: "string", Priority: priority})
	}
	for _, cells := range rows {
		table.Rows = append(table.Rows, metav1.TableRow{Cells: cells})
	}
	return printers.NewTablePrinter(printers.PrintOptions{Wide: showWide, NoHeaders: noHeaders}).PrintObj(table, w)
}

// line converts foreign text to one line without terminal control characters.
func line(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}

// orNone returns s, or none if it is empty.
func orNone(s string) string {
	if s == "" {
		return none
	}
	return line(s)
}

// count returns a number with its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return fmt.Sprintf("1 %s", one)
	}
	return fmt.Sprintf("%d %s", n, many)
}
