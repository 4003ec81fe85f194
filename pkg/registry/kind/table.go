// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"context"
	"fmt"
	"net/http"

	"k8s.io/apimachinery/pkg/api/meta"
	metatable "k8s.io/apimachinery/pkg/api/meta/table"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
)

// None is the cell of a table that has no value to show.
const None = "-"

// Column is one column of a kind's table.
type Column[T any] struct {
	metav1.TableColumnDefinition
	// Cell returns the value of the column for an object: a string, a number or a bool.
	Cell func(obj *T) any
}

// Text returns a column of text that shows None for empty text.
func Text[T any](name, description string, cell func(obj *T) string) Column[T] {
	return Column[T]{
		TableColumnDefinition: metav1.TableColumnDefinition{Name: name, Type: "string", Description: description},
		Cell: func(obj *T) any {
			if s := cell(obj); s != "" {
				return s
			}
			return None
		},
	}
}

// Number returns a column of integers.
func Number[T any](name, description string, cell func(obj *T) int64) Column[T] {
	return Column[T]{
		TableColumnDefinition: metav1.TableColumnDefinition{Name: name, Type: "integer", Description: description},
		Cell:                  func(obj *T) any { return cell(obj) },
	}
}

// Ready returns a column with the status of the condition Ready.
func Ready[T any](conditions func(obj *T) []metav1.Condition) Column[T] {
	return Text("Ready", "The status of the condition Ready.", func(obj *T) string {
		return ReadyStatus(conditions(obj))
	})
}

// Condition returns a column with the status of a condition.
func Condition[T any](name, condition, description string, conditions func(obj *T) []metav1.Condition) Column[T] {
	return Text(name, description, func(obj *T) string { return conditionStatus(conditions(obj), condition) })
}

// Label returns a column with the value of a label.
func Label[T any, P interface {
	*T
	metav1.Object
}](name, label, description string) Column[T] {
	return Text(name, description, func(obj *T) string { return P(obj).GetLabels()[label] })
}

// Wide returns the column, shown with -o wide only.
func (c Column[T]) Wide() Column[T] {
	c.Priority = 1
	return c
}

// ReadyStatus returns the status of the condition Ready, or "" if it is not set.
func ReadyStatus(conditions []metav1.Condition) string { return conditionStatus(conditions, "Ready") }

func conditionStatus(conditions []metav1.Condition, name string) string {
	if c := meta.FindStatusCondition(conditions, name); c != nil {
		return string(c.Status)
	}
	return ""
}

type table[T any] struct {
	resource    string
	definitions []metav1.TableColumnDefinition
	cells       []func(*T) any
}

// NewTable returns a converter to tables with these columns: the name, the given columns,
// and the age before those that only -o wide shows.
func NewTable[T any, P interface {
	*T
	metav1.Object
	runtime.Object
}](resource string, columns ...Column[T]) rest.TableConvertor {
	docs := metav1.ObjectMeta{}.SwaggerDoc()
	t := &table[T]{resource: resource}
	t.add(Column[T]{
		TableColumnDefinition: metav1.TableColumnDefinition{Name: "Name", Type: "string", Format: "name", Description: docs["name"]},
		Cell:                  func(obj *T) any { return P(obj).GetName() },
	})
	for _, c := range columns {
		if c.Priority == 0 {
			t.add(c)
		}
	}
	t.add(Column[T]{
		TableColumnDefinition: metav1.TableColumnDefinition{Name: "Age", Type: "string", Description: docs["creationTimestamp"]},
		Cell:                  func(obj *T) any { return metatable.ConvertToHumanReadableDateType(P(obj).GetCreationTimestamp()) },
	})
	for _, c := range columns {
		if c.Priority != 0 {
			t.add(c)
		}
	}
	return t
}

func (t *table[T]) add(c Column[T]) {
	t.definitions = append(t.definitions, c.TableColumnDefinition)
	t.cells = append(t.cells, c.Cell)
}

// ConvertToTable implements rest.TableConvertor.
func (t *table[T]) ConvertToTable(_ context.Context, object, tableOptions runtime.Object) (*metav1.Table, error) {
	out := &metav1.Table{}
	row := func(obj runtime.Object) error {
		o, ok := any(obj).(*T)
		if !ok {
			return &notAcceptableError{resource: t.resource, object: obj}
		}
		cells := make([]any, 0, len(t.cells))
		for _, cell := range t.cells {
			cells = append(cells, cell(o))
		}
		out.Rows = append(out.Rows, metav1.TableRow{Cells: cells, Object: runtime.RawExtension{Object: obj}})
		return nil
	}
	if meta.IsListType(object) {
		if err := meta.EachListItem(object, row); err != nil {
			return nil, err
		}
	} else if err := row(object); err != nil {
		return nil, err
	}
	if l, err := meta.ListAccessor(object); err == nil {
		out.ResourceVersion = l.GetResourceVersion()
		out.Continue = l.GetContinue()
		out.RemainingItemCount = l.GetRemainingItemCount()
	} else if m, err := meta.CommonAccessor(object); err == nil {
		out.ResourceVersion = m.GetResourceVersion()
	}
	if opt, ok := tableOptions.(*metav1.TableOptions); !ok || !opt.NoHeaders {
		out.ColumnDefinitions = t.definitions
	}
	return out, nil
}

// notAcceptableError is the error for objects that the table can't show.
type notAcceptableError struct {
	resource string
	object   runtime.Object
}

func (e *notAcceptableError) Error() string {
	return fmt.Sprintf("the table of %s can't show a %T", e.resource, e.object)
}

// Status implements apierrors.APIStatus.
func (e *notAcceptableError) Status() metav1.Status {
	return metav1.Status{Status: metav1.StatusFailure, Code: http.StatusNotAcceptable, Reason: metav1.StatusReasonNotAcceptable, Message: e.Error()}
}
