// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
)

// object is an API object of any kind.
type object interface {
	runtime.Object
	metav1.Object
}

// creation describes how a command creates one object of EPIC's API.
type creation[T object] struct {
	*tool
	print  *genericclioptions.PrintFlags
	dryRun dryRun
}

func newCreation[T object](t *tool, c *cobra.Command) *creation[T] {
	o := &creation[T]{tool: t, print: newPrintFlags()}
	o.dryRun.addFlag(c)
	o.print.AddFlags(c)
	completeOutput(c, o.print)
	return o
}

// kindClient is the part of a kind's client that creations need.
type kindClient[T object] interface {
	Get(ctx context.Context, name string, o metav1.GetOptions) (T, error)
	Create(ctx context.Context, object T, o metav1.CreateOptions) (T, error)
}

// run creates the object, or compares an existing one. differs returns the differences of
// an existing object; it only compares values set on the command line.
func (o *creation[T]) run(ctx context.Context, resource string, want T, client func() (kindClient[T], error), differs func(is T) []string) (done bool, err error) {
	printer, err := objectPrinter(o.print, "")
	if err != nil {
		return false, err
	}
	what := resource + "/" + want.GetName()
	if o.dryRun == dryRunClient {
		if printer == nil {
			fmt.Fprintf(o.Out, "%s %s%s\n", what, created, o.dryRun.suffix())
		}
		return false, printer.print(o.Out, want)
	}
	objects, err := client()
	if err != nil {
		return false, err
	}
	rightTo := func(verb string) right { return right{verb, resource, want.GetNamespace()} }
	var result outcome
	var is T
	err = again(func() (err error) {
		result = unchanged
		if is, err = objects.Get(ctx, want.GetName(), metav1.GetOptions{}); !apierrors.IsNotFound(err) || notServed(err) {
			return rightTo("get").explain(err)
		}
		result = created
		is, err = objects.Create(ctx, want, metav1.CreateOptions{FieldManager: fieldManager, DryRun: o.dryRun.options()})
		return rightTo("create").explain(err)
	})
	if err != nil {
		return false, err
	}
	if result == unchanged {
		if different := differs(is); len(different) > 0 {
			return false, fmt.Errorf("%s already exists and differs: %s\nChange it with \"kubectl edit -n %s %s %s\", or choose another name",
				what, strings.Join(different, "; "), want.GetNamespace(), resource, want.GetName())
		}
	}
	is.GetObjectKind().SetGroupVersionKind(want.GetObjectKind().GroupVersionKind())
	if printer == nil {
		fmt.Fprintf(o.Out, "%s %s%s\n", what, result, o.dryRun.suffix())
	}
	return o.dryRun == dryRunNone && printer == nil, printer.print(o.Out, is)
}

// differ appends a line if a field differs.
func differ[V comparable](out []string, field string, is, want V) []string {
	if is != want {
		out = append(out, fmt.Sprintf("%s is %v, not %v", field, is, want))
	}
	return out
}
