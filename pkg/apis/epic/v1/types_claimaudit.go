// SPDX-License-Identifier: Apache-2.0

package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ClaimAudit is the answer to a read of epics/audit: a comparison of every
// object with the IDs, addresses and quota slots that it has claimed. It is worked
// out on demand and stored nowhere.
type ClaimAudit struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata. The name and the namespace are those of the EPIC
	// object that was asked.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// The storage revision at which objects and claims were both read.
	// +optional
	Revision int64 `json:"revision" protobuf:"varint,2,opt,name=revision"`

	// How many objects were read.
	// +optional
	Objects int32 `json:"objects" protobuf:"varint,3,opt,name=objects"`

	// How many claims were read.
	// +optional
	Claims int32 `json:"claims" protobuf:"varint,4,opt,name=claims"`

	// Whether objects and claims agree completely.
	// +optional
	Clean bool `json:"clean" protobuf:"varint,5,opt,name=clean"`

	// Every disagreement that was found. Empty when the audit is clean.
	// +optional
	// +listType=atomic
	Problems []ClaimProblem `json:"problems,omitempty" protobuf:"bytes,6,rep,name=problems"`
}

// ClaimProblemType is a way in which an object and its claims can disagree.
// +enum
type ClaimProblemType string

const (
	// ClaimMissing means that an object implies a claim that does not exist.
	ClaimMissing ClaimProblemType = "missing"
	// ClaimOrphaned means that a claim's object does not exist.
	ClaimOrphaned ClaimProblemType = "orphaned"
	// ClaimForeign means that a claim's object exists and does not imply it, or
	// that a claim which one object implies belongs to another.
	ClaimForeign ClaimProblemType = "foreign"
	// ClaimDuplicate means that two objects imply the same claim.
	ClaimDuplicate ClaimProblemType = "duplicate"
	// ClaimDangling means that an object depends on one that does not exist.
	ClaimDangling ClaimProblemType = "dangling"
	// ClaimOverlapping means that two pools share addresses.
	ClaimOverlapping ClaimProblemType = "overlapping"
	// ClaimMisplaced means that the ID recorded as assigned last is not the one
	// that was.
	ClaimMisplaced ClaimProblemType = "misplaced"
	// ClaimBroken means that an object breaks a rule that clients rely on, such as
	// that its address lies in a pool that it may use.
	ClaimBroken ClaimProblemType = "broken"
	// ClaimUnreadable means that an object can't be decrypted or decoded, so what
	// it claims is not checked.
	ClaimUnreadable ClaimProblemType = "unreadable"
)

// ClaimProblem is one disagreement between an object and its claims.
type ClaimProblem struct {
	// What kind of disagreement it is: missing when the claim should exist and
	// does not, orphaned when its object does not exist, foreign when it belongs
	// to an object that does not imply it, duplicate when two objects imply it,
	// dangling when its object depends on one that does not exist, overlapping
	// when a pool shares addresses with another, misplaced when the ID recorded
	// as assigned last is not the one that was, broken when an object breaks a
	// rule of its kind, unreadable when an object can't be decrypted or decoded,
	// so what it claims is not checked.
	Type ClaimProblemType `json:"type" protobuf:"bytes,1,opt,name=type,casttype=ClaimProblemType"`

	// The claim, by the thing that is claimed, such as tunnel/17, or the field
	// that breaks a rule, such as spec.public-address.
	Claim string `json:"claim" protobuf:"bytes,2,opt,name=claim"`

	// The resource of the object concerned, such as loadbalancers.
	// +optional
	Resource string `json:"resource,omitempty" protobuf:"bytes,3,opt,name=resource"`

	// The namespace of the object concerned.
	// +optional
	Namespace string `json:"namespace,omitempty" protobuf:"bytes,4,opt,name=namespace"`

	// The name of the object concerned.
	// +optional
	Name string `json:"name,omitempty" protobuf:"bytes,5,opt,name=name"`

	// The disagreement in a sentence for people.
	// +optional
	Message string `json:"message,omitempty" protobuf:"bytes,6,opt,name=message"`
}
