// SPDX-License-Identifier: Apache-2.0

// Package report computes the conditions and the status that the operator writes. It
// is pure.
package report

import "github.com/acnodal/epic/pkg/envoy/validate"

// The conditions that the operator sets. It leaves others alone.
const (
	// ConditionProgrammed is of load balancers, gateway proxies and routes: whether
	// Envoys have accepted the newest configuration.
	ConditionProgrammed = "Programmed"
	// ConditionAccepted is of load balancers and gateway proxies: whether everything
	// that the object asks for can be configured.
	ConditionAccepted = "Accepted"
	// ConditionSharedHostname is of gateway proxies and is there only if it is true: an
	// older one of the account has one of its hostnames on another address.
	ConditionSharedHostname = "SharedHostname"
	// ConditionEnvoyVersionSkew is of load balancers and gateway proxies and is there only if
	// it is true: an Envoy is not of the version that this release of EPIC is made for.
	ConditionEnvoyVersionSkew = "EnvoyVersionSkew"
)

// Optional are the conditions that are there only while they are true.
var Optional = []string{ConditionSharedHostname, ConditionEnvoyVersionSkew}

// The reasons of these conditions, besides those of package translate.
const (
	// ReasonProgrammed goes with Programmed when it is true.
	ReasonProgrammed = "Programmed"
	// ReasonAccepted goes with Accepted when it is true.
	ReasonAccepted = "Accepted"
	// ReasonRejectedByProxy is that an Envoy refused a part of the configuration. The
	// message has its words. It continues with the version that it accepted before.
	ReasonRejectedByProxy = "RejectedByProxy"
	// ReasonRejectedByValidator is that an Envoy refused a part of the configuration before
	// a proxy got it. The message has its words.
	ReasonRejectedByValidator = validate.ReasonRefused
	// ReasonPending is that Envoys have not started, or have not answered yet.
	ReasonPending = "Pending"
	// ReasonNoListeners is that nothing is published.
	ReasonNoListeners = "NoListeners"
	// ReasonHostnameInUse goes with SharedHostname.
	ReasonHostnameInUse = "HostnameInUse"
	// ReasonOlderEnvoy goes with EnvoyVersionSkew if one of the Envoys is older.
	ReasonOlderEnvoy = "OlderEnvoy"
	// ReasonNewerEnvoy goes with EnvoyVersionSkew if the Envoys that differ are all newer.
	ReasonNewerEnvoy = "NewerEnvoy"
	// ReasonNoParents is that a route belongs to no gateway proxy.
	ReasonNoParents = "NoParents"
)
