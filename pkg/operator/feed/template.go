// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/template"
	"github.com/acnodal/epic/pkg/envoy/translate"
)

// owned is an envoy-template with the object that contains it.
type owned struct {
	spec   *epicv1.EnvoyConfigSpec
	source resource.Source
}

// templateOf returns the template of a proxy: its own, or that of its group, or nil if
// neither describes anything.
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

// fromTemplate renders a proxy by its template. The result is nil if the template is
// refused.
func (f *Feed) fromTemplate(ctx context.Context, s *source, used *owned, plain *translate.Result) (*translate.Result, []translate.Problem) {
	return template.Render(ctx, f.templateInput(s, used, plain))
}

// templateInput returns the input for rendering a proxy.
func (f *Feed) templateInput(s *source, used *owned, plain *translate.Result) template.Input {
	in := template.Input{Template: used.spec, Source: used.source, Plain: plain, Secrets: map[string]*corev1.Secret{}, Now: time.Now()}
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
	return in
}

// endpoints renders endpoints by the template. Without one, it returns them unchanged.
func (o *owned) endpoints(s *source, plain *resource.Resource) (*resource.Resource, []translate.Problem) {
	if o == nil {
		return plain, nil
	}
	return template.Endpoints(context.Background(), template.Assignment{Template: o.spec, Source: o.source, Service: s.id.Name, Plain: plain})
}

// retryKept is the delay before pods are asked for their resources again.
const retryKept = 10 * time.Second

// restored returns the configuration that the Envoys of a proxy have, if its template is
// refused and this operator has not served it yet, because an earlier operator did.
// Without it, pods that start would get nothing. It returns nil if there is nothing to
// restore; if no pod responds, it schedules a retry.
func (f *Feed) restored(ctx context.Context, s *source, p *proxy, used *owned, plain *translate.Result) *translate.Result {
	p.mu.Lock()
	served := p.result != nil || p.outcome != nil && p.outcome.UID != s.uid
	p.mu.Unlock()
	if served || f.o.Kept == nil {
		return nil
	}
	has := f.o.Kept(ctx, s.id)
	if len(has) == 0 {
		f.whole.AddAfter(s.id, retryKept)
		return nil
	}
	in := f.templateInput(s, used, plain)
	result := template.Restore(ctx, in, has)
	if result != nil {
		klog.FromContext(ctx).Info("Restored the configuration of a proxy whose template is refused from one of its pods", "proxy", s.id, "resources", len(result.Resources))
	}
	return result
}

// explained returns the problems with an explanation of what is served until they are
// solved.
func explained(problems []translate.Problem, what string) []translate.Problem {
	out := slices.Clone(problems)
	for i := range out {
		out[i].Message += what
	}
	return out
}

// keep leaves the configuration of a proxy unchanged because its template is refused: the
// plain translation would allow what the template restricts. The problems explain this.
// The Envoys keep their configuration, including one from an earlier operator, so nothing
// is set.
func (f *Feed) keep(s *source, p *proxy, plain *translate.Result, problems []translate.Problem) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.outcome != nil && p.outcome.UID != s.uid {
		// The existing state belongs to an earlier object of the same name.
		p.result, p.template, p.checked = nil, nil, false
		f.o.Server.Remove(s.id)
	}
	served := *plain
	served.Resources = resource.Set{}
	what := "; until then, running Envoys keep their configuration, and new Envoys get none because no running one could be queried for it"
	if p.result != nil {
		served.Resources = p.result.Resources
		what = "; until then, Envoys get the previous configuration"
	}
	served.Problems = append(explained(problems, what), plain.Problems...)
	p.outcome = outcomeOf(s, &served, f.ports(s)).with(p.troubles)
	f.o.Changed(s.id)
}
