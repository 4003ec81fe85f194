// SPDX-License-Identifier: Apache-2.0

package endpoints

import (
	"cmp"
	"fmt"
	"slices"
)

// The reasons for which an endpoint, or what leads to it, is reported. They are
// fit to be reasons of conditions.
const (
	// ReasonEndpointWithoutNode is an endpoint whose node's address is not known.
	// It is reached without a tunnel, unless it names a node whose address can't be read.
	ReasonEndpointWithoutNode = "EndpointWithoutNode"
	// ReasonAddressUnusable is an endpoint whose address is no IP address of one
	// other host.
	ReasonAddressUnusable = "AddressUnusable"
	// ReasonAddressOnSeveralNodes is an address and port that several nodes are
	// said to have. Only the lowest of the nodes is used.
	ReasonAddressOnSeveralNodes = "AddressOnSeveralNodes"
	// ReasonPortUnusable is a port that is no number from 1 to 65535, or a
	// protocol that proxies do not carry.
	ReasonPortUnusable = "PortUnusable"
	// ReasonProtocolUnsupported is a port or a listener of a protocol that proxies
	// do not carry. It is skipped.
	ReasonProtocolUnsupported = "ProtocolUnsupported"
	// ReasonPortAmbiguous is a backend whose port may be any of several ports of
	// a slice.
	ReasonPortAmbiguous = "PortAmbiguous"
	// ReasonPortMissing is a backend for whose port a slice has none.
	ReasonPortMissing = "PortMissing"
	// ReasonBackendWithoutSlices is a backend that no slice belongs to.
	ReasonBackendWithoutSlices = "BackendWithoutSlices"
	// ReasonClusterNotListed is an endpoint of a cluster that its load balancer
	// does not list.
	ReasonClusterNotListed = "ClusterNotListed"
)

// Problem is what is wrong with one object that leads to endpoints. There is one
// Problem for each reason and object, however many endpoints it concerns.
type Problem struct {
	// Reason is one of the constants above.
	Reason string
	// Object is the kind and name of the object, as in "GWRoute web".
	Object string
	// Message describes what is wrong and what to do, about the first case.
	Message string
	// Count is how many cases there are, at least 1.
	Count int
}

// String is one sentence for people.
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

// sorted is all problems, by reason and then by object.
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
