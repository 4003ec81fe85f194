// SPDX-License-Identifier: Apache-2.0

package endpoints

import (
	"cmp"
	"fmt"
	"slices"
)

// Reasons for which an endpoint, or an object that leads to it, is reported. They are
// valid condition reasons.
const (
	// ReasonEndpointWithoutNode is an endpoint whose node's address is not known. It is
	// reached without a tunnel, unless it names a node with an invalid address.
	ReasonEndpointWithoutNode = "EndpointWithoutNode"
	// ReasonAddressUnusable is an endpoint whose address is not an IP address of another
	// single host.
	ReasonAddressUnusable = "AddressUnusable"
	// ReasonAddressOnSeveralNodes is an address and port that is reported on several
	// nodes. Only the lowest of the nodes is used.
	ReasonAddressOnSeveralNodes = "AddressOnSeveralNodes"
	// ReasonPortUnusable is a port that is not a number from 1 to 65535, or a protocol
	// that proxies do not support.
	ReasonPortUnusable = "PortUnusable"
	// ReasonProtocolUnsupported is a port or a listener with a protocol that proxies do
	// not support. It is skipped.
	ReasonProtocolUnsupported = "ProtocolUnsupported"
	// ReasonPortAmbiguous is a backend whose port may refer to several ports of a slice.
	ReasonPortAmbiguous = "PortAmbiguous"
	// ReasonPortMissing is a backend whose port is missing in a slice.
	ReasonPortMissing = "PortMissing"
	// ReasonBackendWithoutSlices is a backend without slices.
	ReasonBackendWithoutSlices = "BackendWithoutSlices"
	// ReasonClusterNotListed is an endpoint of a cluster that its load balancer
	// does not list.
	ReasonClusterNotListed = "ClusterNotListed"
)

// Problem is a problem of one object that leads to endpoints. There is one Problem for
// each reason and object, regardless of the number of affected endpoints.
type Problem struct {
	// Reason is one of the constants above.
	Reason string
	// Object is the kind and name of the object, such as "GWRoute web".
	Object string
	// Message describes the problem and the fix, for the first case.
	Message string
	// Count is the number of cases, at least 1.
	Count int
}

// String formats the problem as a sentence for people.
func (p Problem) String() string {
	if p.Count > 1 {
		return fmt.Sprintf("%s: %s (and %d more)", p.Object, p.Message, p.Count-1)
	}
	return p.Object + ": " + p.Message
}

// problems collects problems by reason and object.
type problems map[[2]string]*Problem

func (ps problems) add(reason, object, format string, args ...any) {
	key := [2]string{reason, object}
	if p := ps[key]; p != nil {
		p.Count++
		return
	}
	ps[key] = &Problem{Reason: reason, Object: object, Message: fmt.Sprintf(format, args...), Count: 1}
}

// sorted returns all problems, by reason and then by object.
func (ps problems) sorted() []Problem {
	var all []Problem
	for _, p := range ps {
		all = append(all, *p)
	}
	slices.SortFunc(all, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Object, b.Object))
	})
	return all
}
