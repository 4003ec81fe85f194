// SPDX-License-Identifier: Apache-2.0

// Package wire is the protocol between the CNI plugin and the node program over a Unix
// socket: the messages, and the plugin's side of the exchange. It is small and has few
// imports, because the plugin is started for every pod of a node.
package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// DefaultSocket is the socket of the node program, for root only.
const DefaultSocket = "/run/epic/cni.sock"

// Paths of the requests. The number is the version of the messages.
const (
	PathPlan     = "/v1/plan"
	PathAttached = "/v1/attached"
	PathDetach   = "/v1/detach"
	PathCheck    = "/v1/check"
	PathGC       = "/v1/gc"
)

// MaxBody limits a message, in bytes. The longest is a list of valid attachments.
const MaxBody = 4 << 20

// Attachment identifies one attachment of a container to the network.
type Attachment struct {
	// Network is the name of the network configuration.
	Network string `json:"network"`
	// Container is the runtime's ID of the pod's sandbox.
	Container string `json:"container"`
	// Interface is the name of the pod's first interface, on which the attachment
	// is based.
	Interface string `json:"interface"`
}

// Request is a request about an attachment.
type Request struct {
	Attachment
	// Netns is the path of the pod's network namespace.
	Netns string `json:"netns,omitempty"`
	// PodNamespace, PodName and PodUID are set by Kubernetes. Old runtimes do not pass
	// the UID.
	PodNamespace string `json:"podNamespace,omitempty"`
	PodName      string `json:"podName,omitempty"`
	PodUID       string `json:"podUID,omitempty"`
	// HostIndex, in PathAttached, is the index of the created host's end, and NetnsID the
	// identity of the namespace.
	HostIndex int    `json:"hostIndex,omitempty"`
	NetnsID   string `json:"netnsID,omitempty"`
	// Plan, in PathAttached, is the plan that was applied.
	Plan *Plan `json:"plan,omitempty"`
}

// Answer is the response with the plan.
type Answer struct {
	// Plan is absent if the pod is not a proxy.
	Plan *Plan `json:"plan,omitempty"`
}

// GC lists the attachments that a network still has.
type GC struct {
	Network string       `json:"network"`
	Valid   []Attachment `json:"valid"`
}

// RefusalError is the body of every response with a status other than 200.
type RefusalError struct {
	Message string `json:"message"`
	// Retry indicates that the same request may succeed later.
	Retry bool `json:"retry,omitempty"`
}

// Error returns the message.
func (f *RefusalError) Error() string { return f.Message }

// Retryable reports whether an error may be temporary.
func Retryable(err error) bool {
	var f *RefusalError
	return errors.As(err, &f) && f.Retry
}

// Again returns a temporary error.
func Again(format string, args ...any) error {
	return &RefusalError{Message: fmt.Sprintf(format, args...), Retry: true}
}

// Plan describes everything to create for one proxy's pod.
type Plan struct {
	// Kind, Namespace and Owner identify the object that the proxy runs for; Pod and
	// PodUID its pod.
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Owner     string `json:"owner"`
	Pod       string `json:"pod"`
	PodUID    string `json:"podUID"`

	// Host is the name of the host's end, and Alias its alias, which marks it as EPIC's.
	Host    string           `json:"host"`
	HostMAC net.HardwareAddr `json:"hostMAC"`
	Alias   string           `json:"alias"`
	// Bridge is the bridge of the host's end.
	Bridge    string           `json:"bridge"`
	BridgeMAC net.HardwareAddr `json:"bridgeMAC"`

	// Name is the name of the pod's end.
	Name string           `json:"name"`
	MAC  net.HardwareAddr `json:"mac"`
	// MTU is the MTU of both ends, in bytes.
	MTU int `json:"mtu"`
	// Addresses are the public and the alternate address, at most one of each family.
	Addresses []netip.Addr `json:"addresses"`
	// Keep lists the networks that the pod reaches by its first interface: the cluster's
	// services and the node.
	Keep []netip.Prefix `json:"keep"`
}

// aliasMark is the prefix of the alias of every host's end.
const aliasMark = "epic-node proxy "

// HostName returns the name of the host's end of an attachment: 15 characters, the
// maximum in Linux.
func (a Attachment) HostName() string {
	sum := sha256.Sum256([]byte(a.Container + "\x00" + a.Interface))
	return "epic" + hex.EncodeToString(sum[:])[:11]
}

// Alias returns the alias of the host's end of an attachment.
func (a Attachment) Alias() string {
	return aliasMark + a.Network + " " + a.Container + " " + a.Interface
}

// ParseAlias is the inverse of Alias. It returns false for an alias of another program.
func ParseAlias(alias string) (Attachment, bool) {
	rest, found := strings.CutPrefix(alias, aliasMark)
	if !found {
		return Attachment{}, false
	}
	parts := strings.Split(rest, " ")
	if len(parts) != 3 {
		return Attachment{}, false
	}
	return Attachment{Network: parts[0], Container: parts[1], Interface: parts[2]}, true
}
