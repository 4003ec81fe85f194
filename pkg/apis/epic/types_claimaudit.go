// SPDX-License-Identifier: Apache-2.0

package epic

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ClaimAudit is the response to a read of epics/audit: it compares every object with the
// IDs, addresses and quota slots that the object has claimed. The server computes it on
// demand and does not store it.
type ClaimAudit struct {
	metav1.TypeMeta
	// Standard object metadata. The name and the namespace are those of the EPIC object
	// whose audit was requested.
	metav1.ObjectMeta

	// Storage revision at which both objects and claims were read.
	Revision int64

	// Number of objects that were read.
	Objects int32

	// Number of claims that were read.
	Claims int32

	// Whether all objects and claims are consistent.
	Clean bool

	// All inconsistencies that were found. Empty if the audit is clean.
	Problems []ClaimProblem
}

// ClaimProblemType is a type of inconsistency between an object and its claims.
type ClaimProblemType string

const (
	// ClaimMissing means that a claim that an object requires does not exist.
	ClaimMissing ClaimProblemType = "missing"
	// ClaimOrphaned indicates that a claim's object does not exist.
	ClaimOrphaned ClaimProblemType = "orphaned"
	// ClaimForeign means that a claim belongs to an object that does not require it, or
	// that a claim that one object requires belongs to another.
	ClaimForeign ClaimProblemType = "foreign"
	// ClaimDuplicate means that two objects require the same claim.
	ClaimDuplicate ClaimProblemType = "duplicate"
	// ClaimDangling indicates that an object depends on one that does not exist.
	ClaimDangling ClaimProblemType = "dangling"
	// ClaimOverlapping indicates that two pools share addresses.
	ClaimOverlapping ClaimProblemType = "overlapping"
	// ClaimMisplaced means that the ID recorded as the most recently assigned one is wrong.
	ClaimMisplaced ClaimProblemType = "misplaced"
	// ClaimBroken means that an object violates a rule that clients rely on, for example
	// that its address is in a pool that it may use.
	ClaimBroken ClaimProblemType = "broken"
	// ClaimUnreadable means that an object can't be decrypted or decoded, so its claims
	// were not checked.
	ClaimUnreadable ClaimProblemType = "unreadable"
)

// ClaimProblem is one inconsistency between an object and its claims.
type ClaimProblem struct {
	// Type of the problem: missing if a claim that should exist does not; orphaned if the
	// claim's object does not exist; foreign if the claim belongs to an object that does
	// not require it; duplicate if two objects require the same claim; dangling if the
	// object depends on one that does not exist; overlapping if a pool shares addresses
	// with another; misplaced if the ID recorded as the most recently assigned one is
	// wrong; broken if an object violates a rule of its kind; unreadable if an object can't
	// be decrypted or decoded, so its claims were not checked.
	Type ClaimProblemType

	// The claim, named after what is claimed, such as tunnel/17, or the field that violates
	// a rule, such as spec.public-address.
	Claim string

	// Resource of the affected object, such as loadbalancers.
	Resource string

	// Namespace of the affected object.
	Namespace string

	// Name of the affected object.
	Name string

	// Human-readable description of the problem.
	Message string
}
