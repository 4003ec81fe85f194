// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
)

// Object identifies the load balancer or gateway proxy to which a proxy belongs.
type Object struct {
	// Resource is the plural resource name: loadbalancers or gwproxies.
	Resource string
	// Namespace and Name identify the object.
	Namespace, Name string
}

// NotThereError explains why a proxy does not run on a node. Any other error of this
// package means that this is not known yet, and that the caller may retry.
type NotThereError struct{ Reason string }

// Error implements error.
func (e *NotThereError) Error() string { return e.Reason }

// NotThere returns a NotThereError.
func NotThere(format string, args ...any) error {
	return &NotThereError{Reason: fmt.Sprintf(format, args...)}
}

// IsNotThere reports whether the error is a NotThereError.
func IsNotThere(err error) bool {
	var e *NotThereError
	return errors.As(err, &e)
}

// Pods finds proxies that are pods.
type Pods interface {
	// Check returns nil if the pod with a name is a proxy of the object and runs on the
	// Node with the address.
	Check(ctx context.Context, object Object, pod string, node netip.Addr) error
}

// Checker determines where proxies run.
type Checker struct {
	// Pods finds the pods of the gateway cluster; nil if there is no cluster.
	Pods Pods
}

// Check returns nil if a proxy of the object runs on the gateway node with an address.
// placements is the object's status.proxy-placements.
func (c *Checker) Check(ctx context.Context, object Object, placements map[string]string, proxy, node string) error {
	address, err := netip.ParseAddr(node)
	if err != nil {
		return NotThere("%q is not the address of a node", node)
	}
	if listed, ok := placements[proxy]; ok {
		if listed == node {
			return nil
		}
		return NotThere("proxy-placements lists the proxy on node %s", listed)
	}
	if c == nil || c.Pods == nil {
		return NotThere("proxy-placements does not list the proxy: an administrator, or the program that starts the proxy, adds it there first")
	}
	return c.Pods.Check(ctx, object, proxy, address)
}

// Runs reports whether any of an object's proxies runs on the node. proxies are the names
// under which the node reports interfaces. It returns an error if that is not known yet.
func (c *Checker) Runs(ctx context.Context, object Object, placements map[string]string, proxies []string, node string) (bool, error) {
	var unknown error
	for _, proxy := range proxies {
		err := c.Check(ctx, object, placements, proxy, node)
		if err == nil {
			return true, nil
		}
		if !IsNotThere(err) {
			unknown = err
		}
	}
	return false, unknown
}
