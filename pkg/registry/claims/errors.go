// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ErrExhausted is returned where a pool, a quota or a range of IDs has nothing
// left to give.
var ErrExhausted = errors.New("nothing is left")

// staleError says that what a plan relied on has changed, or that something it
// picked was taken meanwhile: planning again will help. It never leaves this
// package.
type staleError struct {
	what string
	// spent says that numbers which the plan took are not to be had: handing
	// them out again would fail again.
	spent bool
}

func (e *staleError) Error() string { return e.what }

// errBusy is for the request that lost every race. Clients retry it, since it
// is marked so; nothing has been written.
func errBusy(last error) error {
	return apierrors.NewTimeoutError(fmt.Sprintf("the objects on which this write depends kept changing (%v); try again", last), 1)
}

// errSchema is for a server that finds itself beside another version's data.
func errSchema(found string) error {
	return apierrors.NewServiceUnavailable(schemaMessage(found))
}

func schemaMessage(found string) string {
	if found == "" {
		return fmt.Sprintf("the claim schema key is missing in etcd, this server writes schema %q only: restore a backup, or start on an empty etcd prefix", SchemaVersion)
	}
	return fmt.Sprintf("etcd holds claim schema %q, this server writes schema %q only: run the release that wrote the data, or start on another etcd prefix", found, SchemaVersion)
}

// tooLargeError is etcd's refusal of a write because of its size. It has the code and
// the text of the original, by which the API server's handlers know it (they
// try again without managed fields), and a status for the client.
type tooLargeError struct{}

// Code is that of the original error.
func (tooLargeError) Code() codes.Code { return codes.InvalidArgument }

func (tooLargeError) Error() string { return rpctypes.ErrRequestTooLarge.Error() }

// Status implements apierrors.APIStatus.
func (tooLargeError) Status() metav1.Status {
	return metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusRequestEntityTooLarge,
		Reason:  metav1.StatusReasonRequestEntityTooLarge,
		Message: "the object is too large for etcd: split it, or make it smaller",
	}
}

// clientError turns what etcd refuses for the caller's fault into an error that
// says so, and leaves all else as it is.
func clientError(err error) error {
	if errors.Is(err, rpctypes.ErrRequestTooLarge) {
		return tooLargeError{}
	}
	// The client has a limit of its own, a little above that of etcd.
	if s, ok := status.FromError(err); ok && s.Code() == codes.ResourceExhausted && strings.Contains(s.Message(), "trying to send message larger than max") {
		return tooLargeError{}
	}
	return err
}
