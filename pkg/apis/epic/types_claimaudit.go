// SPDX-License-Identifier: Apache-2.0

package epic

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ClaimAudit is the answer to a read of epics/audit: a comparison of every object
// with the IDs, addresses and quota slots that it has claimed. The server computes
// it on demand and does not store it.
type ClaimAudit struct {
	metav1.TypeMeta
	// Standard object metadata.
	metav1.ObjectMeta

	// The storage revision at which objects and claims were both read.
	Revision int64

	// How many objects were read.
	Objects int32

	// How many claims were read.
	Claims int32

	// Whether objects and claims agree completely.
	Clean bool

	// Every disagreement that was found.
	Problems []ClaimProblem
}

// ClaimProblemType is a way in which an object and its claims can disagree.
type ClaimProblemType string

const (
	// ClaimMissing indicates that an object implies a claim that does not exist.
	ClaimMissing ClaimProblemType = "missing"
	// ClaimOrphaned indicates that a claim's object does not exist.
	ClaimOrphaned ClaimProblemType = "orphaned"
	// ClaimForeign indicates that a claim's object exists and does not imply it, or
	// that a claim which one object implies belongs to another.
	ClaimForeign ClaimProblemType = "foreign"
	// ClaimDuplicate indicates that two objects imply the same claim.
	ClaimDuplicate ClaimProblemType = "duplicate"
	// ClaimDangling indicates that an object depends on one that does not exist.
	ClaimDangling ClaimProblemType = "dangling"
	// ClaimOverlapping indicates that two pools share addresses.
	ClaimOverlapping ClaimProblemType = "overlapping"
	// ClaimMisplaced indicates that the ID recorded as assigned last is not the one
	// that was.
	ClaimMisplaced ClaimProblemType = "misplaced"
	// ClaimBroken indicates that an object breaks a rule that clients rely on, such as
	// that its address lies in a pool that it may use.
	ClaimBroken ClaimProblemType = "broken"
	// ClaimUnreadable indicates that an object can't be decrypted or decoded, so what
	// it claims is not checked.
	ClaimUnreadable ClaimProblemType = "unreadable"
)

// ClaimProblem is one disagreement between an object and its claims.
type ClaimProblem struct {
	// What kind of disagreement it is: missing when the claim should exist and
	// does not, orphaned when its object does not exist, foreign when it
	// belongs to an object that does not imply it, duplicate when two objects
	// imply it, dangling when its object depends on one that does not exist,
	// overlapping when a pool shares addresses with another, misplaced when the
	// ID recorded as assigned last is not the one that was, broken when an
	// object breaks a rule of its kind, unreadable when an object can't be
	// decrypted or decoded, so what it claims is not checked.
	Type ClaimProblemType

	// The claim, by the thing that is claimed, such as tunnel/17, or the field
	// that breaks a rule, such as spec.public-address.
	Claim string

	// The resource of the object concerned, such as loadbalancers.
	Resource string

	// The namespace of the object concerned.
	Namespace string

	// The name of the object concerned.
	Name string

	// The disagreement in a sentence for people.
	Message string
}
