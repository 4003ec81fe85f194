// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// ErrExhausted is returned if a pool, a quota or a range of IDs is exhausted.
var ErrExhausted = errors.New("nothing is left")

// staleError indicates that something the plan relied on has changed, or that something
// it allocated was taken in the meantime, so the write must be planned again. It never
// leaves this package.
type staleError struct {
	what string
	// spent indicates that the numbers allocated for the plan must not be returned to the
	// allocator: a write that gets them would fail as well.
	spent bool
	// relied indicates that the plan used cached objects, which may be the reason: the
	// next plan must read them.
	relied bool
}

func (e *staleError) Error() string { return e.what }

// errBusy returns the error for a request that lost every race. Clients retry it, because
// nothing was written and its status says so.
func errBusy(last error) error {
	return apierrors.NewTimeoutError(fmt.Sprintf("the objects on which this write depends kept changing (%v); try again", last), 1)
}

// errSchema returns the error for a server that finds data of another version's schema.
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
