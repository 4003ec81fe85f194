// SPDX-License-Identifier: Apache-2.0

// Package lbservicegroup stores service groups, the classes of service that load balancers and
// gateway proxies choose.
package lbservicegroup

import (
	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/apis/epic/validation"
	"github.com/acnodal/epic/pkg/registry/kind"
)

// NewREST builds the storage of the kind and of its status.
var NewREST = kind.Kind[epic.LBServiceGroup, epic.LBServiceGroupList]{
	Resource:   epic.ResourceLBServiceGroups,
	Singular:   "lbservicegroup",
	ShortNames: []string{"lbsg", "lbsgs"},
	Strategy: kind.Strategy[epic.LBServiceGroup]{
		PrepareCreate: func(obj *epic.LBServiceGroup) {
			if obj.Spec.EndpointTemplate == nil {
				obj.Spec.EndpointTemplate = defaultEndpoint()
			}
		},
		PrepareUpdate: func(obj, old *epic.LBServiceGroup) {
			kind.KeepOwners(&obj.ObjectMeta, &old.ObjectMeta)
			if obj.Spec.EndpointTemplate == nil {
				obj.Spec.EndpointTemplate = old.Spec.EndpointTemplate
			}
		},
		Validate:       validation.ValidateLBServiceGroup,
		ValidateUpdate: validation.ValidateLBServiceGroupUpdate,
		ValidateStatus: validation.ValidateLBServiceGroupStatusUpdate,
	},
	Table: newTable(),
}.NewREST

// defaultEndpoint returns the DNS records of a group that sets none. They are not
// defaults of the API version: those would also fill in what an update leaves out, and a
// group keeps the records that its proxies have.
func defaultEndpoint() *epic.DNSEndpoint {
	return &epic.DNSEndpoint{
		DNSName:    "{{.PureLBServiceName}}.{{.LBSGName}}.{{.Account}}.client.acnodal.io",
		RecordType: "A",
		RecordTTL:  180, // seconds
	}
}
