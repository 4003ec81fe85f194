// SPDX-License-Identifier: Apache-2.0

// Package account stores accounts, which are the tenants.
package account

import (
	"fmt"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/apis/epic/validation"
	"github.com/acnodal/epic/pkg/registry/kind"
)

// NewREST builds the storage of the kind and of its status.
var NewREST = kind.Kind[epic.Account, epic.AccountList]{
	Resource: epic.ResourceAccounts,
	Singular: "account",
	Strategy: kind.Strategy[epic.Account]{
		// The group ID is kept if the update leaves it out or sets one that the account
		// could not have.
		PrepareUpdate: func(obj, old *epic.Account) {
			kind.KeepReplaced(&obj.ObjectMeta, &old.ObjectMeta)
			if obj.Spec.GroupID == 0 || kind.Replaced(old, groupID, fmt.Sprint(obj.Spec.GroupID)) {
				obj.Spec.GroupID = old.Spec.GroupID
			}
		},
		// The store sets the last service ID.
		PrepareStatus:  func(obj, old *epic.Account) { obj.Status.CurrentServiceID = old.Status.CurrentServiceID },
		Validate:       validation.ValidateAccount,
		ValidateUpdate: validation.ValidateAccountUpdate,
		ValidateStatus: validation.ValidateAccountStatusUpdate,
		ResetStatus:    []fieldpath.Path{fieldpath.MakePathOrDie("status", "current-service-id")},
	},
	Table: newTable(),
}.NewREST
