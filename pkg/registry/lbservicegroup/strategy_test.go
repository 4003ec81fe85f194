// SPDX-License-Identifier: Apache-2.0

package lbservicegroup

import (
	"reflect"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/kind/kindtest"
)

func sample() *epic.LBServiceGroup {
	return &epic.LBServiceGroup{ObjectMeta: metav1.ObjectMeta{
		Namespace: "epic-root", Name: "sample", Labels: map[string]string{epic.OwningServicePrefixLabel: "default"},
	}}
}

func TestCreate(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	in := sample()
	in.Generation = 7
	in.Status.Conditions = kindtest.Ready()
	in.Status.ObservedGeneration = 3
	if out := kindtest.MustCreate(s, in); out.Generation != 1 || out.Status.Conditions != nil || out.Status.ObservedGeneration != 0 {
		t.Errorf("generation %d, status %+v", out.Generation, out.Status)
	}
}

func TestCreateRefuses(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	o := sample()
	o.Labels = nil
	if _, err := kindtest.Create(s, o); !apierrors.IsInvalid(err) {
		t.Errorf("got %v", err)
	}
	if s.Writes() != 0 {
		t.Error("a refused write left something behind")
	}
}

func TestUpdate(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	o := kindtest.MustCreate(s, sample())
	o.Status.Conditions = kindtest.Ready()
	o, err := kindtest.Update(s, o)
	if err != nil || o.Generation != 1 || o.Status.Conditions != nil {
		t.Errorf("a write of the status with the object: %+v, %v", o, err)
	}
	o.Spec.CanBeShared = true
	if o, err = kindtest.Update(s, o); err != nil || o.Generation != 2 {
		t.Fatalf("generation %d, %v", o.Generation, err)
	}
	o.Labels[epic.OwningServicePrefixLabel] = "other"
	if _, err := kindtest.Update(s, o); !apierrors.IsInvalid(err) {
		t.Errorf("got %v", err)
	}
}

func TestUpdateStatus(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	o := kindtest.MustCreate(s, sample())
	o.Spec.CanBeShared = true
	o.Status.Conditions = kindtest.Ready()
	o, err := kindtest.UpdateStatus(s, o)
	if err != nil || o.Generation != 1 || len(o.Status.Conditions) != 1 {
		t.Errorf("got %+v, %v", o, err)
	}
	o.Status.ObservedGeneration = -1
	if _, err := kindtest.UpdateStatus(s, o); !apierrors.IsInvalid(err) {
		t.Errorf("got %v", err)
	}
}

func TestUpdateKeepsOwner(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	in := kindtest.MustCreate(s, sample())
	in.Labels = nil
	if out, err := kindtest.Update(s, in); err != nil || out.Labels[epic.OwningServicePrefixLabel] == "" {
		t.Errorf("got %v, %v", out.Labels, err)
	}
}

func TestStorage(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	if got := strings.Join(s.REST.ShortNames(), ","); got != "lbsg,lbsgs" {
		t.Errorf("short names %q", got)
	}
	if s.Trigger != "" {
		t.Errorf("watchers are found by %q", s.Trigger)
	}
}

// A group that names no records gets those with the account in the name, which no
// two accounts share. What it names itself, or had before, stays.
func TestEndpointTemplate(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	o := kindtest.MustCreate(s, sample())
	want := epic.DNSEndpoint{DNSName: "{{.PureLBServiceName}}.{{.LBSGName}}.{{.Account}}.client.acnodal.io", RecordType: "A", RecordTTL: 180}
	if got := o.Spec.EndpointTemplate; got == nil || !reflect.DeepEqual(*got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	o.Spec.EndpointTemplate.DNSName = "{{.LBName}}.example.com"
	o, err := kindtest.Update(s, o)
	if err != nil {
		t.Fatal(err)
	}
	o.Spec.EndpointTemplate = nil
	if o, err = kindtest.Update(s, o); err != nil || o.Spec.EndpointTemplate == nil || o.Spec.EndpointTemplate.DNSName != "{{.LBName}}.example.com" {
		t.Errorf("got %+v, %v", o.Spec.EndpointTemplate, err)
	}
	own := sample()
	own.Name, own.Spec.EndpointTemplate = "own", &epic.DNSEndpoint{DNSName: "{{.LBName}}.example.net"}
	if own = kindtest.MustCreate(s, own); own.Spec.EndpointTemplate.DNSName != "{{.LBName}}.example.net" || own.Spec.EndpointTemplate.RecordTTL == 180 {
		t.Errorf("got %+v", own.Spec.EndpointTemplate)
	}
}
