// SPDX-License-Identifier: Apache-2.0

// Package freeport finds ports for tests whose programs can't choose one themselves.
package freeport

import (
	"net"
	"strconv"
	"testing"

	"github.com/acnodal/epic/test/tools/process"
)

// Get returns a TCP port of the loopback address that nobody listens on.
func Get(t testing.TB) int {
	t.Helper()
	port, err := process.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// Address returns the loopback address with such a port.
func Address(t testing.TB) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(Get(t)))
}
