// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
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

// apiError converts an error caused by etcd's state into an API status that describes it,
// and returns all other errors unchanged. Without it, the API server would report such an
// error as its own failure, with code 500.
func apiError(err error) error {
	if err == nil {
		return nil
	}
	var told apierrors.APIStatus
	if errors.As(err, &told) {
		return err
	}
	_, uncertain := errors.AsType[*uncertainError](err)
	late := errors.Is(err, context.DeadlineExceeded)
	switch code := etcdCode(err); {
	case errors.Is(err, rpctypes.ErrNoSpace):
		return &apierrors.StatusError{ErrStatus: metav1.Status{
			Status: metav1.StatusFailure,
			Code:   http.StatusInsufficientStorage,
			// The API has no specific reason for this error.
			Reason:  metav1.StatusReasonUnknown,
			Message: "etcd takes no more writes, because its database has reached its quota; nothing was written: delete what is not needed, or raise the quota; an embedded etcd then takes writes again by itself, any other when its operator has run epic-apiserver etcd-maintenance to compact and defragment it and to disarm its alarm",
		}}
	case errors.Is(err, rpctypes.ErrTooManyRequests):
		return apierrors.NewTooManyRequests("etcd has too many pending requests; nothing was written: try again", 1)
	case uncertain && (late || code == codes.Unavailable):
		// Suggest no delay for a retry: a client would then retry automatically.
		return apierrors.NewTimeoutError(fmt.Sprintf("etcd has not confirmed the write (%v), which may have landed: read the object before you try again", err), 0)
	case late:
		return apierrors.NewTimeoutError("etcd did not respond before the request's timeout; nothing was written: try again", 0)
	case code == codes.Unavailable:
		return apierrors.NewServiceUnavailable(fmt.Sprintf("etcd is unavailable (%v); nothing was written: try again", err))
	}
	return err
}

// etcdCode returns the gRPC code of an error of the etcd client, or codes.Unknown for
// other errors.
func etcdCode(err error) codes.Code {
	if e, ok := errors.AsType[rpctypes.EtcdError](err); ok {
		return e.Code()
	}
	if s, ok := status.FromError(err); ok {
		return s.Code()
	}
	return codes.Unknown
}

// uncertainError is the failure of a transaction that etcd may have applied nevertheless.
type uncertainError struct{ err error }

func (e *uncertainError) Error() string { return e.err.Error() }

func (e *uncertainError) Unwrap() error { return e.err }

// writeError classifies the failure of a transaction: an error of the caller, or an
// uncertain outcome.
func writeError(err error) error {
	if errors.Is(err, rpctypes.ErrRequestTooLarge) {
		return tooLargeError{}
	}
	// The client's own limit is slightly above that of etcd.
	if s, ok := status.FromError(err); ok && s.Code() == codes.ResourceExhausted && strings.Contains(s.Message(), "trying to send message larger than max") {
		return tooLargeError{}
	}
	return &uncertainError{err}
}

// tooLargeError is returned if etcd rejects a write because of its size. It has the code
// and the text of the original error, by which the API server's handlers recognize it
// (they retry without managed fields), and a status for the client.
type tooLargeError struct{}

// Code returns the code of the original error.
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
