// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/skew"
)

const (
	operatorLease = "epic-operator"
	// systemNamespace is the namespace of the programs of the gateway cluster.
	systemNamespace = "epic-system"
	// serverSamples is how often the API is queried: each response is from one replica.
	serverSamples = 8
)

// partVersion is a program and its version.
type partVersion struct {
	part          skew.Part
	name, version string
}

var partOrder = []skew.Part{skew.Tool, skew.APIServer, skew.Controller, skew.Operator, skew.GatewayNode, skew.Connector}

func comparePartVersions(a, b partVersion) int {
	return cmp.Or(slices.Index(partOrder, a.part)-slices.Index(partOrder, b.part), strings.Compare(a.name, b.name), strings.Compare(a.version, b.version))
}

// partVersions holds the versions of an installation's parts, and what could not be read.
type partVersions struct {
	*tool
	parts  []partVersion
	unread []string
}

// servers returns the versions of the API server's replicas that respond. Each reports
// its version in every response to users of the API.
func (p *partVersions) servers(ctx context.Context) ([]string, error) {
	config, err := p.config()
	if err != nil {
		return nil, err
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, err
	}
	var versions []string
	for range serverSamples {
		version, err := serverVersion(ctx, client, base)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(versions, version) {
			versions = append(versions, version)
		}
	}
	return versions, nil
}

func serverVersion(ctx context.Context, client *http.Client, base *url.URL) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath("apis", epic.GroupName, v1.SchemeGroupVersion.Version).String(), nil)
	if err != nil {
		return "", err
	}
	answer, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close() //nolint:errcheck // it is only read
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return "", err
	}
	switch version := answer.Header.Get(skew.ServerHeader); {
	case answer.StatusCode != http.StatusOK:
		return "", fmt.Errorf("EPIC's API responds with %s", answer.Status)
	case version == "":
		return "", errors.New("the API server does not report its version: its release is too old")
	default:
		return version, nil
	}
}

// others reads the versions of the other parts.
func (p *partVersions) others(ctx context.Context) {
	kube, client, err := p.clients()
	if err != nil {
		p.unread = append(p.unread, err.Error())
		return
	}
	around, err := look(kube)
	if err != nil {
		p.unread = append(p.unread, explain(err).Error())
		return
	}
	if around.namespaces {
		p.lease(ctx, skew.Controller, controllerLease)
		p.lease(ctx, skew.Operator, operatorLease)
	}
	err = each(ctx, collection[*v1.GatewayNode]("gatewaynodes", epic.ConfigNamespace, client.EpicV1().GatewayNodes(epic.ConfigNamespace).List), func(o *v1.GatewayNode) error {
		p.parts = append(p.parts, partVersion{skew.GatewayNode, o.Name, o.Status.Version})
		return nil
	})
	p.failed("gateway nodes", err)
	if !around.rbac {
		return
	}
	bindings := listing[*rbacv1.RoleBinding]{
		right: right{verb: "list", resource: "rolebindings." + rbacv1.GroupName},
		list: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return kube.RbacV1().RoleBindings(metav1.NamespaceAll).List(ctx, o)
		},
	}
	err = each(ctx, bindings, func(o *rbacv1.RoleBinding) error {
		if version := o.Annotations[skew.ConnectorAnnotation]; version != "" {
			p.parts = append(p.parts, partVersion{skew.Connector, strings.TrimPrefix(o.Namespace, accountNamespace("")) + "/" + strings.TrimPrefix(o.Name, nodesBinding("")), version})
		}
		return nil
	})
	p.failed("connectors", err)
}

// lease reads the version of the leading program.
func (p *partVersions) lease(ctx context.Context, part skew.Part, name string) {
	kube, err := p.kube()
	if err != nil {
		p.failed(string(part), err)
		return
	}
	lease, err := kube.CoordinationV1().Leases(systemNamespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
	case err != nil:
		p.failed(string(part), err)
	default:
		p.parts = append(p.parts, partVersion{part, "", lease.Labels[skew.Label]})
	}
}

// failed records what could not be read.
func (p *partVersions) failed(what string, err error) {
	if err != nil {
		p.unread = append(p.unread, fmt.Sprintf("The versions of %s are unknown: %v", what, explain(err)))
	}
}
