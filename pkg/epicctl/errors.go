// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// usageError is an error of the command line.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// isUsage reports whether an error concerns the command line. Cobra has no types for its
// errors.
func isUsage(err error) bool {
	var usage *usageError
	return errors.As(err, &usage) ||
		strings.HasPrefix(err.Error(), "unknown command") ||
		strings.HasPrefix(err.Error(), "required flag") ||
		strings.HasPrefix(err.Error(), "if any flags in the group")
}

// unhealthyError is the result of a command that succeeded and found problems, which it has
// printed.
type unhealthyError struct{}

func (*unhealthyError) Error() string { return "problems were found" }

// right is the permission that a request requires, in the terms of a role's rule.
type right struct {
	verb, resource, namespace string
}

func (r right) String() string {
	s := r.verb + " " + r.resource
	if r.namespace != "" {
		s += " in namespace " + r.namespace
	}
	return s
}

// explain adds the required permission to an error if it is missing, and the fix to other
// errors that are not caused by the request.
func (r right) explain(err error) error {
	if err == nil {
		return nil
	}
	if deniedByRBAC(err) {
		return fmt.Errorf("you may not %s: %s (%w)", r, r.remedy(), err)
	}
	return explain(err)
}

// remedy names the role that grants the permission.
func (r right) remedy() string {
	const ask = "ask a cluster administrator "
	switch {
	case strings.HasPrefix(r.resource, "/"):
		return ask + "to bind the cluster's own ClusterRole system:discovery to you"
	case strings.HasPrefix(r.resource, "serviceaccounts"):
		return ask + "to bind the ClusterRole epic-kubeconfig-issuer to you in namespace " + r.namespace + ", or epic-connector-issuer if it is for a cluster's connector"
	case r.verb == "get" || r.verb == "list":
		way := ask + "to bind the ClusterRole epic-auditor or epic-platform-admin to you"
		if r.namespace != "" && r.resource != "namespaces" {
			way += ", or epic-tenant-viewer in that namespace"
		}
		return way
	case r.verb == "patch" && r.resource == "namespaces":
		return ask + "to set the labels of the namespace"
	}
	return ask + "to bind the ClusterRole epic-platform-admin to you"
}

// deniedByRBAC distinguishes a denial of an authorizer from one of an admission plugin,
// such as a quota's, which has the same status but no missing permission.
func deniedByRBAC(err error) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), " cannot ")
}

// explain adds the fix to an error that does not concern the request itself.
func explain(err error) error {
	var (
		dns     *net.DNSError
		op      *net.OpError
		request *url.Error
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
	)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted")
	case apierrors.IsInvalid(err):
		return invalid(err)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("the server does not know who you are: the credentials of your kubeconfig may have expired; get new ones (%w)", err)
	case notServed(err):
		return fmt.Errorf("the server does not serve %s: install EPIC there, or choose another cluster with --context or --kubeconfig (%w)", v1.SchemeGroupVersion, err)
	case apierrors.IsServiceUnavailable(err):
		return fmt.Errorf("the API is registered but does not respond: run \"epicctl status\" to find out why (%w)", err)
	case errors.As(err, &unknown):
		return fmt.Errorf("the server's certificate was signed by an authority that your kubeconfig does not contain: get a new kubeconfig, or set --certificate-authority (%w)", err)
	case errors.As(err, &host):
		return fmt.Errorf("the server's certificate is for another name: correct the address in your kubeconfig, or set --tls-server-name (%w)", err)
	case errors.As(err, &dns), errors.As(err, &op), errors.Is(err, context.DeadlineExceeded), os.IsTimeout(err), errors.As(err, &request):
		return fmt.Errorf("can't reach the server: check that it is running and that your kubeconfig has its address; --context selects another cluster (%w)", err)
	case isStatus(err, http.StatusBadGateway), isStatus(err, http.StatusGatewayTimeout):
		return fmt.Errorf("a proxy in front of the server does not forward requests: try again (%w)", err)
	}
	return err
}

// invalid formats the error for an invalid object, with a line for each field.
func invalid(err error) error {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil || len(status.Status().Details.Causes) == 0 {
		return err
	}
	details := status.Status().Details
	text := fmt.Sprintf("the server refuses %s %q:", details.Kind, details.Name)
	for _, cause := range details.Causes {
		field := cause.Field
		if field == "" || field == "<nil>" {
			field = "the object"
		}
		text += "\n  " + field + ": " + line(cause.Message)
	}
	return &refusal{error: err, text: text}
}

// refusal is an error with its own text.
type refusal struct {
	error
	text string
}

func (r *refusal) Error() string { return r.text }
func (r *refusal) Unwrap() error { return r.error }
