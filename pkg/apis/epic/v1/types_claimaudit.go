// SPDX-License-Identifier: Apache-2.0

package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ClaimAudit is the response to a read of epics/audit: it compares every object with the
// IDs, addresses and quota slots that the object has claimed. The server computes it on
// demand and does not store it.
type ClaimAudit struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata. The name and the namespace are those of the EPIC object
	// whose audit was requested.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// Storage revision at which both objects and claims were read.
	// +optional
	Revision int64 `json:"revision" protobuf:"varint,2,opt,name=revision"`

	// Number of objects that were read.
	// +optional
	Objects int32 `json:"objects" protobuf:"varint,3,opt,name=objects"`

	// Number of claims that were read.
	// +optional
	Claims int32 `json:"claims" protobuf:"varint,4,opt,name=claims"`

	// Whether all objects and claims are consistent.
	// +optional
	Clean bool `json:"clean" protobuf:"varint,5,opt,name=clean"`

	// All inconsistencies that were found. Empty if the audit is clean.
	// +optional
	// +listType=atomic
	Problems []ClaimProblem `json:"problems,omitempty" protobuf:"bytes,6,rep,name=problems"`
}

// ClaimProblemType is a type of inconsistency between an object and its claims.
// +enum
type ClaimProblemType string

const (
	// ClaimMissing means that a claim that an object requires does not exist.
	ClaimMissing ClaimProblemType = "missing"
	// ClaimOrphaned means that a claim's object does not exist.
	ClaimOrphaned ClaimProblemType = "orphaned"
	// ClaimForeign means that a claim belongs to an object that does not require it, or
	// that a claim that one object requires belongs to another.
	ClaimForeign ClaimProblemType = "foreign"
	// ClaimDuplicate means that two objects require the same claim.
	ClaimDuplicate ClaimProblemType = "duplicate"
	// ClaimDangling means that an object depends on one that does not exist.
	ClaimDangling ClaimProblemType = "dangling"
	// ClaimOverlapping means that two pools share addresses.
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
	Type ClaimProblemType `json:"type" protobuf:"bytes,1,opt,name=type,casttype=ClaimProblemType"`

	// The claim, named after what is claimed, such as tunnel/17, or the field that violates
	// a rule, such as spec.public-address.
	Claim string `json:"claim" protobuf:"bytes,2,opt,name=claim"`

	// Resource of the affected object, such as loadbalancers.
	// +optional
	Resource string `json:"resource,omitempty" protobuf:"bytes,3,opt,name=resource"`

	// Namespace of the affected object.
	// +optional
	Namespace string `json:"namespace,omitempty" protobuf:"bytes,4,opt,name=namespace"`

	// Name of the affected object.
	// +optional
	Name string `json:"name,omitempty" protobuf:"bytes,5,opt,name=name"`

	// Human-readable description of the problem.
	// +optional
	Message string `json:"message,omitempty" protobuf:"bytes,6,opt,name=message"`
}
