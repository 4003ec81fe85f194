// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"context"
	"errors"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/overview"
)

// survey reads the input of package overview for an installation.
type survey struct {
	*tool
	kubeClient kubernetes.Interface
	epicClient versioned.Interface
}

func newSurvey(t *tool) (*survey, error) {
	kubeClient, epicClient, err := t.clients()
	if err != nil {
		return nil, err
	}
	return &survey{tool: t, kubeClient: kubeClient, epicClient: epicClient}, nil
}

// unread returns why a request that requires a permission failed.
func (r right) unread(err error) *overview.Unread {
	if deniedByRBAC(err) {
		return &overview.Unread{Missing: r.String(), Fix: r.remedy()}
	}
	return &overview.Unread{Message: r.explain(err).Error()}
}

// all reads everything.
func (s *survey) all(ctx context.Context) *overview.Installation {
	i, goOn := s.programs(ctx)
	if goOn {
		s.objects(ctx, i)
		i.Claims = s.claims(ctx)
	}
	return i
}

// objects reads the objects to check, page by page, so memory does not grow with the
// installation.
func (s *survey) objects(ctx context.Context, i *overview.Installation) {
	client := s.epicClient.EpicV1()
	i.Configuration = s.configuration(ctx)
	i.Addresses, i.Envoys, i.GatewayNodes = &overview.Addresses{}, &overview.Envoys{}, &overview.GatewayNodes{}

	prefixes := collection[*v1.ServicePrefix](epic.ResourceServicePrefixes, epic.ConfigNamespace, client.ServicePrefixes(epic.ConfigNamespace).List)
	var err error
	if i.Addresses.Prefixes, err = all(ctx, prefixes); err != nil {
		i.Addresses.Unread = prefixes.right.unread(err)
	}
	unread := readProxies(ctx, collection[*v1.LoadBalancer](epic.ResourceLoadBalancers, "", client.LoadBalancers("").List), func(o *v1.LoadBalancer) {
		i.Addresses.Use(o.Spec.PublicAddress)
		i.Envoys.Add("LoadBalancer", o.Namespace, o.Name, &o.Status)
	})
	if unread == nil {
		unread = readProxies(ctx, collection[*v1.GWProxy](epic.ResourceGWProxies, "", client.GWProxies("").List), func(o *v1.GWProxy) {
			i.Addresses.Use(o.Spec.PublicAddress, o.Spec.AltAddress)
			i.Envoys.Add("GWProxy", o.Namespace, o.Name, &o.Status)
		})
	}
	if i.Envoys.Unread = unread; i.Addresses.Unread == nil && len(i.Addresses.Prefixes) > 0 {
		i.Addresses.Unread = unread
	}

	nodes := collection[*v1.GatewayNode](epic.ResourceGatewayNodes, epic.ConfigNamespace, client.GatewayNodes(epic.ConfigNamespace).List)
	if i.GatewayNodes.Objects, err = all(ctx, nodes); err != nil {
		i.GatewayNodes.Unread = nodes.right.unread(err)
	}
}

// readProxies calls f with each object, and returns why some could not be read.
func readProxies[T runtime.Object](ctx context.Context, l listing[T], f func(T)) *overview.Unread {
	err := each(ctx, l, func(o T) error {
		f(o)
		return nil
	})
	if err == nil {
		return nil
	}
	return l.right.unread(err)
}

// configuration reads the EPIC object.
func (s *survey) configuration(ctx context.Context) *overview.Configuration {
	object, err := s.epicClient.EpicV1().EPICs(epic.ConfigNamespace).Get(ctx, epic.ConfigName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return &overview.Configuration{}
	case err != nil:
		return &overview.Configuration{Unread: right{"get", "epics." + v1.GroupName, epic.ConfigNamespace}.unread(err)}
	}
	return &overview.Configuration{Object: object}
}

// claims runs the audit.
func (s *survey) claims(ctx context.Context) *overview.Claims {
	report, err := s.epicClient.EpicV1().EPICs(epic.ConfigNamespace).Audit(ctx, epic.ConfigName, metav1.GetOptions{})
	if err != nil {
		return &overview.Claims{Unread: right{"get", "epics/audit." + v1.GroupName, epic.ConfigNamespace}.unread(err)}
	}
	return &overview.Claims{Objects: int(report.Objects), Claims: int(report.Claims), Problems: len(report.Problems), Clean: report.Clean}
}

// api reads whether the kinds are served.
func (s *survey) api() *overview.API {
	list, err := s.epicClient.Discovery().ServerResourcesForGroupVersion(v1.SchemeGroupVersion.String())
	if err != nil {
		return &overview.API{Unread: &overview.Unread{Message: right{verb: "get", resource: "/apis/" + v1.SchemeGroupVersion.String()}.explain(err).Error()}}
	}
	return &overview.API{Missing: slices.DeleteFunc(slices.Clone(overview.ExpectedResources), func(name string) bool {
		return slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == name })
	})}
}

// errNoChecks is a response of readyz without any check.
var errNoChecks = errors.New("readyz did not answer with a list of checks")
