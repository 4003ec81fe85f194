// SPDX-License-Identifier: Apache-2.0

// Package report computes the conditions and the status that the operator writes. It
// is pure.
package report

import "github.com/acnodal/epic/pkg/envoy/validate"

// Conditions that the operator sets. It keeps others.
const (
	// ConditionProgrammed, on load balancers, gateway proxies and routes, reports whether
	// Envoys have accepted the newest configuration.
	ConditionProgrammed = "Programmed"
	// ConditionAccepted, on load balancers and gateway proxies, reports whether
	// everything the object requests can be configured.
	ConditionAccepted = "Accepted"
	// ConditionSharedHostname, on gateway proxies, is set only while it is true: an older
	// one of the account has one of its hostnames on another address.
	ConditionSharedHostname = "SharedHostname"
	// ConditionEnvoyVersionSkew, on load balancers and gateway proxies, is set only while
	// it is true: an Envoy does not have the version that this release of EPIC is made
	// for.
	ConditionEnvoyVersionSkew = "EnvoyVersionSkew"
)

// Optional lists the conditions that are set only while they are true.
var Optional = []string{ConditionSharedHostname, ConditionEnvoyVersionSkew}

// Reasons of these conditions, in addition to those of package translate.
const (
	// ReasonProgrammed is used with Programmed when it is true.
	ReasonProgrammed = "Programmed"
	// ReasonAccepted is used with Accepted when it is true.
	ReasonAccepted = "Accepted"
	// ReasonRejectedByProxy means that an Envoy refused a part of the configuration. The
	// message contains its error. The Envoy continues with the version that it accepted
	// before.
	ReasonRejectedByProxy = "RejectedByProxy"
	// ReasonRejectedByValidator means that an Envoy refused a part of the configuration
	// before a proxy got it. The message contains its error.
	ReasonRejectedByValidator = validate.ReasonRefused
	// ReasonPending means that Envoys have not started or have not responded yet.
	ReasonPending = "Pending"
	// ReasonNoListeners means that nothing is published.
	ReasonNoListeners = "NoListeners"
	// ReasonHostnameInUse is used with SharedHostname.
	ReasonHostnameInUse = "HostnameInUse"
	// ReasonOlderEnvoy is used with EnvoyVersionSkew if one of the Envoys is older.
	ReasonOlderEnvoy = "OlderEnvoy"
	// ReasonNewerEnvoy is used with EnvoyVersionSkew if all Envoys that differ are newer.
	ReasonNewerEnvoy = "NewerEnvoy"
	// ReasonNoParents means that a route belongs to no gateway proxy.
	ReasonNoParents = "NoParents"
)
