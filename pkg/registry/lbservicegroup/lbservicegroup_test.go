// SPDX-License-Identifier: Apache-2.0

package lbservicegroup

import (
	"reflect"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/kind/kindtest"
)

func sample() *epic.LBServiceGroup {
	return &epic.LBServiceGroup{ObjectMeta: metav1.ObjectMeta{
		Namespace: "epic-root", Name: "sample", Labels: map[string]string{epic.OwningServicePrefixLabel: "default"},
	}}
}

func TestKind(t *testing.T) {
	kindtest.Run(t, kindtest.Kind[*epic.LBServiceGroup]{
		NewREST: NewREST,
		Sample:  sample,
		Wrong: map[string]func(*epic.LBServiceGroup){
			"no prefix": func(o *epic.LBServiceGroup) { o.Labels = nil },
		},
		Change:      func(o *epic.LBServiceGroup) { o.Spec.CanBeShared = true },
		WrongChange: func(o *epic.LBServiceGroup) { o.Labels[epic.OwningServicePrefixLabel] = "other" },
		ShortNames:  "lbsg,lbsgs",
	})
}

func TestUpdateKeepsOwner(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	in := kindtest.MustCreate(s, sample())
	in.Labels = nil
	if out, err := kindtest.Update(s, in); err != nil || out.Labels[epic.OwningServicePrefixLabel] == "" {
		t.Errorf("got %v, %v", out.Labels, err)
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
