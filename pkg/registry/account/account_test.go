// SPDX-License-Identifier: Apache-2.0

package account

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/kind/kindtest"
)

func sample() *epic.Account {
	return &epic.Account{ObjectMeta: metav1.ObjectMeta{Namespace: "epic-root", Name: "root"}}
}

func TestKind(t *testing.T) {
	kindtest.Run(t, kindtest.Kind[*epic.Account]{
		NewREST: NewREST,
		Sample:  sample,
		Wrong: map[string]func(*epic.Account){
			"another namespace": func(o *epic.Account) { o.Namespace = "epic-other" },
		},
		Change:      func(o *epic.Account) { o.Spec.ProxyLimit = new(int32) },
		WrongChange: func(o *epic.Account) { o.Spec.GroupID = 7 },
	})
}

// Clients write back what the server shows them of its counters.
func TestStatusIgnoresCounters(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	in := kindtest.MustCreate(s, sample())
	in.Status.CurrentServiceID = 9
	if out, err := kindtest.UpdateStatus(s, in); err != nil || out.Status.CurrentServiceID != 0 {
		t.Errorf("got %+v, %v", out.Status, err)
	}
}

func TestUpdateKeepsGroupID(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	stored := sample()
	stored.UID, stored.Generation, stored.CreationTimestamp = "1", 1, metav1.Now()
	stored.Spec.GroupID = 5
	s.Put(stored)
	if out, err := kindtest.Update(s, sample()); err != nil || out.Spec.GroupID != 5 || out.Generation != 1 {
		t.Errorf("got %+v, %v", out, err)
	}
}
