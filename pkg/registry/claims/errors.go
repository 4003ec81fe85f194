// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// ErrExhausted is returned where a pool, a quota or a range of IDs has nothing
// left to give.
var ErrExhausted = errors.New("nothing is left")

// staleError indicates that what a plan relied on has changed, or that something it
// picked was taken in the meantime: planning again will help. It never leaves this
// package.
type staleError struct {
	what string
	// spent indicates that numbers which the plan took are not to be had: handing
	// them out again would fail again.
	spent bool
	// relied indicates that the plan rested on remembered objects, which may be the
	// reason: the next one must read.
	relied bool
}

func (e *staleError) Error() string { return e.what }

// errBusy is for the request that lost every race. Clients retry it, because it
// is marked so; nothing has been written.
func errBusy(last error) error {
	return apierrors.NewTimeoutError(fmt.Sprintf("the objects on which this write depends kept changing (%v); try again", last), 1)
}

// errSchema is for a server that finds itself next to another version's data.
func errSchema(found string) error {
	return apierrors.NewServiceUnavailable(schemaMessage(found))
}

func schemaMessage(found string) string {
	if found == "" {
		return fmt.Sprintf("the claim schema key is missing in etcd, and this server only writes schema %q: restore a backup, or start with an empty etcd prefix", SchemaVersion)
	}
	if found == MarkRestored(SchemaVersion) {
		return "etcd was restored from a snapshot, and the servers are preparing it for use: try again in a moment"
	}
	return fmt.Sprintf("etcd contains claim schema %q, but this server only writes schema %q: run the release that wrote the data, or start with another etcd prefix", found, SchemaVersion)
}
