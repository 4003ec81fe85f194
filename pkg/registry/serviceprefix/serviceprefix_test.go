// SPDX-License-Identifier: Apache-2.0

package serviceprefix

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/kind/kindtest"
)

func sample() *epic.ServicePrefix {
	return &epic.ServicePrefix{
		ObjectMeta: metav1.ObjectMeta{Namespace: "epic", Name: "default"},
		Spec: epic.ServicePrefixSpec{
			PublicPool: &epic.AddressPool{Pool: "192.168.77.0/29", Subnet: "192.168.77.0/24", Aggregation: "default"},
		},
	}
}

func TestKind(t *testing.T) {
	kindtest.Run(t, kindtest.Kind[*epic.ServicePrefix]{
		NewREST: NewREST,
		Sample:  sample,
		Wrong: map[string]func(*epic.ServicePrefix){
			"another namespace": func(o *epic.ServicePrefix) { o.Namespace = "epic-root" },
		},
		Change:      func(o *epic.ServicePrefix) { o.Spec.PublicPool.Aggregation = "/32" },
		WrongChange: func(o *epic.ServicePrefix) { o.Spec.PublicPool.Pool = "no pool" },
		ShortNames:  "sp,sps",
	})
}
