// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	clienttesting "k8s.io/client-go/testing"

	"github.com/acnodal/epic/pkg/skew"
)

// The versions of an installation are those that its parts left behind.
func TestVersion(t *testing.T) {
	i := install(t)
	kube := i.beside(
		&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "epic-system", Name: "epic-controller", Labels: map[string]string{skew.Label: "v1.4.0"}}},
		&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "epic-system", Name: "epic-operator", Labels: map[string]string{skew.Label: "v1.2.0"}}},
		&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "epic-acme", Name: "epic-node-client.paris", Annotations: map[string]string{skew.ConnectorAnnotation: "v1.1.0"}}},
		&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "epic-acme", Name: "another"}},
	)
	// The server is of a working tree, and so is everything unknown.
	r := i.run(t, "version")
	r.want(t, ExitOK, "API server", "controller     -            v1.4.0", "operator       -            v1.2.0", "connector      acme/paris   v1.1.0", "unknown: not a release")
	i.run(t, "version", "--client").want(t, ExitOK, "API epic.acnodal.io/v1")
	if r := i.run(t, "version", "--client"); r.stderr != "" || len(r.stdout) > 200 {
		t.Errorf("It printed %q, %q", r.stdout, r.stderr)
	}

	kube.PrependReactor("*", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "leases"}, "x", errors.New("no"))
	})
	kube.PrependReactor("*", "rolebindings", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "rolebindings"}, "", errors.New("no"))
	})
	i.run(t, "version").want(t, ExitOK, "API server", "The versions of controller are unknown", "The versions of connectors are unknown")
}

// What does not work together is marked, and is a failure.
func TestUnsupportedVersions(t *testing.T) {
	var out bytes.Buffer
	o := &showVersion{tool: newTool(genericclioptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &out})}
	versions := &partVersions{tool: o.tool, parts: []partVersion{
		{skew.Connector, "acme/paris", "v1.1.0"}, {skew.GatewayNode, "192.0.2.1", "v1.2.0"}, {skew.GatewayNode, "192.0.2.0", "v1.3.0"}, {skew.Controller, "", "v1.4.1"},
	}}
	err := o.print([]string{"v1.3.9", "v1.4.0"}, versions)
	if err == nil || err.Error() != "2 parts are not supported: docs/releases.md has the versions that work together" {
		t.Errorf("The error is %v", err)
	}
	versions.parts = versions.parts[2:]
	if err := o.print([]string{"v1.4.0"}, versions); err != nil {
		t.Error(err)
	}
	for _, want := range []string{
		"no: more than 2 minor versions older than the API server (v1.4.0)", "no: more than 1 minor version older", "API server - v1.3.9 yes", "API server - v1.4.0 yes", "controller - v1.4.1 yes",
	} {
		if !strings.Contains(squeezed(out.String()), want) {
			t.Errorf("There is no %q in\n%s", want, out.String())
		}
	}
}
