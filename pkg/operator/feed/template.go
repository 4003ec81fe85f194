// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"context"

	corev1 "k8s.io/api/core/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/template"
	"github.com/acnodal/epic/pkg/envoy/translate"
)

// owned is an envoy-template with the object that has it.
type owned struct {
	spec   *epicv1.EnvoyConfigSpec
	source resource.Source
}

// templateOf returns the template of a proxy: its own, or that of its group; nil if there
// is none that describes anything.
func (f *Feed) templateOf(s *source) *owned {
	var own *epicv1.EnvoyConfigSpec
	var group *epicv1.LBServiceGroup
	if s.lb != nil {
		own, group = s.lb.Spec.EnvoyTemplate, f.o.Store.GroupOf(s.lb)
	} else {
		own, group = s.gw.Spec.EnvoyTemplate, f.o.Store.GroupOf(s.gw)
	}
	switch {
	case template.Used(own):
		return &owned{own, resource.Source{Kind: s.id.Kind, Namespace: s.id.Namespace, Name: s.id.Name, UID: string(s.uid)}}
	case own == nil && group != nil && template.Used(group.Spec.EnvoyTemplate):
		return &owned{group.Spec.EnvoyTemplate, resource.Source{Kind: "LBServiceGroup", Namespace: group.Namespace, Name: group.Name, UID: string(group.UID)}}
	}
	return nil
}

// fromTemplate renders a proxy by its template. The result is nil if it is refused.
func (f *Feed) fromTemplate(ctx context.Context, s *source, used *owned, plain *translate.Result) (*translate.Result, []translate.Problem) {
	in := template.Input{Template: used.spec, Source: used.source, Plain: plain, Secrets: map[string]*corev1.Secret{}}
	if s.lb != nil {
		in.LoadBalancer, in.RemoteEndpoints = s.lb, f.o.Store.RemoteEndpointsOf(s.id.Namespace, s.id.Name)
		in.Options = f.o.Place(s.lb.Spec.PublicAddress)
	} else {
		in.Proxy, in.Routes = s.gw, f.o.Store.RoutesOf(s.id.Namespace, s.id.Name)
		in.Options = f.o.Place(s.gw.Spec.PublicAddress)
	}
	for _, name := range template.SecretsOf(used.spec) {
		if secret := f.o.Secret(s.id.Namespace, name); secret != nil {
			in.Secrets[name] = secret
		}
	}
	return template.Render(ctx, in)
}

// endpoints renders endpoints by the template. Without one they stay as they are.
func (o *owned) endpoints(s *source, plain *resource.Resource) (*resource.Resource, []translate.Problem) {
	if o == nil {
		return plain, nil
	}
	return template.Endpoints(context.Background(), template.Assignment{Template: o.spec, Source: o.source, Service: s.id.Name, Plain: plain})
}

// keep leaves a proxy as it is, since its template is refused: what a template restricts,
// the translation would open. The problems say so. The Envoys keep what they have, also
// what they were sent by an operator before this one, so nothing is set.
func (f *Feed) keep(s *source, p *proxy, plain *translate.Result, problems []translate.Problem) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.outcome != nil && p.outcome.UID != s.uid {
		// What there is belongs to an earlier object of the same name.
		p.result, p.template = nil, nil
		f.o.Server.Remove(s.id)
	}
	served := *plain
	served.Resources = resource.Set{}
	what := "; until then nothing is published that was not before: Envoys that run keep the configuration that they have, and new ones get none"
	if p.result != nil {
		served.Resources = p.result.Resources
		what = "; until then Envoys are served the configuration from before"
	}
	for i := range problems {
		problems[i].Message += what
	}
	served.Problems = append(problems, plain.Problems...)
	p.outcome = outcomeOf(s, &served, f.ports(s)).with(p.troubles)
	f.o.Changed(s.id)
}
