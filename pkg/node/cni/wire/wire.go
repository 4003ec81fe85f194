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

// DefaultSocket is where the node program listens, for root only.
const DefaultSocket = "/run/epic/cni.sock"

// Paths of the requests. The number is the version of the messages.
const (
	PathPlan     = "/v1/plan"
	PathAttached = "/v1/attached"
	PathDetach   = "/v1/detach"
	PathCheck    = "/v1/check"
	PathGC       = "/v1/gc"
)

// MaxBody bounds a message, in bytes. A list of valid attachments is the longest.
const MaxBody = 4 << 20

// Attachment names one attachment of a container to the network.
type Attachment struct {
	// Network is the name of the network configuration.
	Network string `json:"network"`
	// Container is the runtime's ID of the pod's sandbox.
	Container string `json:"container"`
	// Interface is the name of the pod's first interface, on which the attachment
	// is based.
	Interface string `json:"interface"`
}

// Request asks about an attachment.
type Request struct {
	Attachment
	// Netns is the path of the pod's network namespace.
	Netns string `json:"netns,omitempty"`
	// PodNamespace, PodName and PodUID are those that Kubernetes gave. An old
	// runtime does not tell the UID.
	PodNamespace string `json:"podNamespace,omitempty"`
	PodName      string `json:"podName,omitempty"`
	PodUID       string `json:"podUID,omitempty"`
	// HostIndex, in PathAttached, is the index of the host's end that was made, and
	// NetnsID the identity of the namespace.
	HostIndex int    `json:"hostIndex,omitempty"`
	NetnsID   string `json:"netnsID,omitempty"`
	// Plan, in PathAttached, is what was carried out.
	Plan *Plan `json:"plan,omitempty"`
}

// Answer describes what to do.
type Answer struct {
	// Plan is absent if the pod is not a proxy.
	Plan *Plan `json:"plan,omitempty"`
}

// GC lists the attachments that a network still has.
type GC struct {
	Network string       `json:"network"`
	Valid   []Attachment `json:"valid"`
}

// RefusalError is the body of every answer that is not 200.
type RefusalError struct {
	Message string `json:"message"`
	// Retry indicates that the same request may succeed later.
	Retry bool `json:"retry,omitempty"`
}

// Error returns the message.
func (f *RefusalError) Error() string { return f.Message }

// Retryable reports whether an error is one that may go away.
func Retryable(err error) bool {
	var f *RefusalError
	return errors.As(err, &f) && f.Retry
}

// Again returns a failure that may go away.
func Again(format string, args ...any) error {
	return &RefusalError{Message: fmt.Sprintf(format, args...), Retry: true}
}

// Plan is everything that has to be made for one proxy's pod.
type Plan struct {
	// Kind, Namespace and Owner name the object that the proxy runs for; Pod and
	// PodUID its pod.
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Owner     string `json:"owner"`
	Pod       string `json:"pod"`
	PodUID    string `json:"podUID"`

	// Host is the name of the host's end, Alias its alias, by which what belongs to
	// EPIC is known.
	Host    string           `json:"host"`
	HostMAC net.HardwareAddr `json:"hostMAC"`
	Alias   string           `json:"alias"`
	// Bridge is the bridge to which the host's end goes.
	Bridge    string           `json:"bridge"`
	BridgeMAC net.HardwareAddr `json:"bridgeMAC"`

	// Name is the name of the pod's end.
	Name string           `json:"name"`
	MAC  net.HardwareAddr `json:"mac"`
	// MTU is in bytes, of both ends.
	MTU int `json:"mtu"`
	// Addresses are the public and the alternate address, one of each family at
	// most.
	Addresses []netip.Addr `json:"addresses"`
	// Keep is what the pod reaches by its first interface: the cluster's services
	// and the node.
	Keep []netip.Prefix `json:"keep"`
}

// aliasMark begins the alias of every host's end.
const aliasMark = "epic-node proxy "

// HostName returns the name of the host's end of an attachment: 15 characters, the
// most that Linux takes.
func (a Attachment) HostName() string {
	sum := sha256.Sum256([]byte(a.Container + "\x00" + a.Interface))
	return "epic" + hex.EncodeToString(sum[:])[:11]
}

// Alias returns the alias of the host's end of an attachment.
func (a Attachment) Alias() string {
	return aliasMark + a.Network + " " + a.Container + " " + a.Interface
}

// ParseAlias is the inverse of Alias. It says false of an alias that is another's.
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
