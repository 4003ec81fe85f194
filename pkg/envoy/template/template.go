// SPDX-License-Identifier: Apache-2.0

package template

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/translate"
)

// Reasons of problems with templates.
const (
	// ReasonRefused is a template that fails, or produces something that is not allowed.
	ReasonRefused = "TemplateRefused"
	// ReasonNotServed is a part of a template, or a route, that is omitted.
	ReasonNotServed = "NotServedByTemplate"
)

// Input is the input for rendering one proxy.
type Input struct {
	// Template is the template, and Source the object that contains it.
	Template *epicv1.EnvoyConfigSpec
	Source   resource.Source
	// LoadBalancer with its RemoteEndpoints is set for a load balancer.
	LoadBalancer    *epicv1.LoadBalancer
	RemoteEndpoints []*epicv1.RemoteEndpoint
	// Proxy with its Routes is set for a gateway proxy.
	Proxy  *epicv1.GWProxy
	Routes []*epicv1.GWRoute
	// Plain is the proxy as translated by package translate. It decides which listeners
	// and routes are accepted.
	Plain *translate.Result
	// Secrets holds the Secrets in the proxy's namespace, by name: at least those that
	// SecretsOf names, if they exist.
	Secrets map[string]*corev1.Secret
	// Now is the time at which the validity of certificates is checked. If it is zero,
	// validity is not checked.
	Now time.Time
	// Options are the options for the place where the proxy runs.
	Options translate.Options
	// Limits limits the rendering; the zero value means DefaultLimits.
	Limits Limits
}

// Used reports whether a template describes anything. If it has no listeners and
// clusters, the plain translation is used.
func Used(t *epicv1.EnvoyConfigSpec) bool {
	return t != nil && len(t.EnvoyResources.Listeners)+len(t.EnvoyResources.Clusters) > 0
}

// SecretsOf returns the names of the Secrets to which a template refers, sorted.
func SecretsOf(t *epicv1.EnvoyConfigSpec) []string {
	var names []string
	if t != nil {
		for i := range t.EnvoyResources.Secrets {
			names = append(names, secretName(&t.EnvoyResources.Secrets[i]))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func secretName(s *epicv1.EnvoySecretResource) string {
	if s.Ref != nil && s.Ref.Name != "" {
		return s.Ref.Name
	}
	return s.Name
}

// Render renders a template. The result is nil if the template is refused, and the
// problems explain why; nothing of it may be served then.
func Render(ctx context.Context, in Input) (*translate.Result, []translate.Problem) {
	return bounded(ctx, &in.Limits, in.Source, func(b *budget) (*translate.Result, []translate.Problem) {
		r := &rendering{in: &in, budget: b, result: &translate.Result{Resources: resource.Set{}, Listeners: in.Plain.Listeners, Routes: in.Plain.Routes}}
		r.result.Problems = slices.Clone(in.Plain.Problems)
		r.render()
		if len(r.refused) > 0 {
			return nil, r.refused
		}
		return r.result, r.result.Problems
	})
}

// bounded calls the function and stops waiting for it when it takes too long: every loop
// in it ends when the time is over.
func bounded[T any](ctx context.Context, limits *Limits, source resource.Source, do func(*budget) (T, []translate.Problem)) (T, []translate.Problem) {
	if *limits == (Limits{}) {
		*limits = DefaultLimits
	}
	ctx, cancel := context.WithTimeout(ctx, limits.Time)
	type answer struct {
		result   T
		problems []translate.Problem
	}
	done := make(chan answer, 1)
	b := &budget{ctx: ctx, limits: *limits}
	go func() {
		defer cancel()
		defer func() {
			if r := recover(); r != nil {
				done <- answer{problems: []translate.Problem{refusal(source, "", fmt.Sprintf("makes the renderer fail (%v): simplify the template", r))}}
			}
		}()
		result, problems := do(b)
		done <- answer{result, problems}
	}()
	var none T
	select {
	case a := <-done:
		return a.result, a.problems
	case <-ctx.Done():
	}
	// It may have ended at the same time.
	select {
	case a := <-done:
		return a.result, a.problems
	default:
		return none, []translate.Problem{refusal(source, "", b.late().Error())}
	}
}

func refusal(source resource.Source, field, message string) translate.Problem {
	at := "spec.envoy-template"
	if field != "" {
		at += ".envoyResources." + field
	}
	return translate.Problem{Object: source, Field: at, Reason: ReasonRefused, Message: message}
}

// rendering is the state while one proxy is rendered.
type rendering struct {
	in      *Input
	budget  *budget
	result  *translate.Result
	refused []translate.Problem
	confine confinement
	view    *view
}

// view holds the parameters of a proxy's templates, and the backends of its clusters.
type view struct {
	clusters  []clusterView
	listeners []ListenerParameters
	// problems are problems of routes and listeners that no template can serve.
	problems []translate.Problem
}

type clusterView struct {
	parameters ClusterParameters
	backend    translate.Backend
}

func (r *rendering) refuse(field string, err error) {
	if len(r.refused) >= maxRefusals {
		return
	}
	var at *fieldError
	if errors.As(err, &at) {
		r.refused = append(r.refused, refusal(r.in.Source, field+": "+at.path, at.message))
		return
	}
	r.refused = append(r.refused, refusal(r.in.Source, field, err.Error()))
}

func (r *rendering) render() {
	if r.in.LoadBalancer != nil {
		r.view = loadBalancerView(r.in)
	} else {
		r.view = gatewayView(r.in)
	}
	r.result.Problems = append(r.result.Problems, r.view.problems...)
	r.confine = confinement{clusters: map[string]bool{}, routes: map[string]bool{}, secrets: map[string]bool{}}
	t := &r.in.Template.EnvoyResources
	r.secrets()
	if len(t.Clusters) > 0 {
		for i := range r.view.clusters {
			r.confine.clusters[r.view.clusters[i].parameters.ClusterName] = true
		}
	}
	for i := range t.Clusters {
		r.clusters(fmt.Sprintf("clusters[%d].value", i), t.Clusters[i].Value)
	}
	var routes []*routev3.RouteConfiguration
	for i := range t.Routes {
		field := fmt.Sprintf("routes[%d].value", i)
		if config := r.route(field, &t.Routes[i]); config != nil {
			r.confine.routes[config.Name] = true
			routes = append(routes, config)
		}
	}
	for i, config := range routes {
		field := fmt.Sprintf("routes[%d].value", i)
		if r.checked(field, config) {
			r.put(field, resource.Route, config.Name, config)
		}
	}
	for i := range t.Listeners {
		r.listeners(fmt.Sprintf("listeners[%d].value", i), t.Listeners[i].Value)
	}
	if r.hasEdge() {
		r.result.Problems = append(r.result.Problems, translate.Problem{
			Object: r.proxy(), Field: "spec.edge", Reason: ReasonNotServed, Message: "has no effect, because the envoy-template replaces it: remove one of the two",
		})
	}
	if len(t.Runtimes) > 0 {
		r.leftOut("envoyResources.runtimes", "runtime layers are not served: remove them")
	}
	slices.SortFunc(r.result.Backends, func(a, b translate.Backend) int { return cmp.Compare(a.Name, b.Name) })
}

// hasEdge reports whether the proxy has its own edge settings.
func (r *rendering) hasEdge() bool {
	if r.in.LoadBalancer != nil {
		return r.in.LoadBalancer.Spec.Edge != nil
	}
	return r.in.Proxy.Spec.Edge != nil
}

func (r *rendering) leftOut(field, message string) {
	r.result.Problems = append(r.result.Problems, translate.Problem{Object: r.in.Source, Field: "spec.envoy-template." + field, Reason: ReasonNotServed, Message: message})
}

// proxy returns a reference to the proxy's object.
func (r *rendering) proxy() resource.Source { return r.in.proxy() }

func (in *Input) proxy() resource.Source {
	if lb := in.LoadBalancer; lb != nil {
		return translate.SourceOf("LoadBalancer", lb)
	}
	return translate.SourceOf("GWProxy", in.Proxy)
}

// put adds a resource.
func (r *rendering) put(field string, typ resource.Type, name string, m proto.Message) bool {
	made, err := resource.New(typ, name, m, r.proxy())
	if err == nil {
		err = r.result.Resources.Add(made)
	}
	if err != nil {
		r.refuse(field, fmt.Errorf("%w: give each a unique name", err))
		return false
	}
	return true
}

// checked checks a message and reports its problems.
func (r *rendering) checked(field string, m proto.Message) bool {
	found := r.confine.check(m)
	for i := range found {
		r.refuse(field, &found[i])
	}
	return len(found) == 0
}

// document runs a template and decodes its output. It returns false for an empty
// document, which is omitted.
func (r *rendering) document(field string, p *program, parameters any, into proto.Message) bool {
	text, err := p.run(parameters)
	if err == nil {
		if strings.TrimSpace(text) == "" {
			return false
		}
		err = decode(text, r.in.Template.Serialization, p.values, into)
	}
	if err != nil {
		r.refuse(field, err)
		return false
	}
	return true
}

// program compiles a template, or returns nil if it is refused.
func (r *rendering) program(field, value string) *program {
	text, err := source(value, r.in.Template.Serialization)
	if err != nil {
		r.refuse(field, err)
		return nil
	}
	p, err := compile(r.budget, text)
	if err != nil {
		r.refuse(field, err)
		return nil
	}
	return p
}

// route decodes a route configuration, which is not a template.
func (r *rendering) route(field string, of *epicv1.EnvoyResource) *routev3.RouteConfiguration {
	config := &routev3.RouteConfiguration{}
	text, err := source(of.Value, r.in.Template.Serialization)
	if err == nil {
		err = r.budget.output(len(text))
	}
	if err == nil {
		err = decode(text, r.in.Template.Serialization, nil, config)
	}
	if err != nil {
		r.refuse(field, err)
		return nil
	}
	if config.Name == "" {
		config.Name = of.Name
	}
	return config
}

func (r *rendering) secrets() {
	for i := range r.in.Template.EnvoyResources.Secrets {
		s := &r.in.Template.EnvoyResources.Secrets[i]
		field := fmt.Sprintf("secrets[%d]", i)
		if s.Ref != nil && s.Ref.Namespace != "" && s.Ref.Namespace != r.proxy().Namespace {
			r.refuse(field+".ref.namespace", fmt.Errorf("names the namespace %q, but a proxy can only use Secrets of its own namespace %q: remove it", s.Ref.Namespace, r.proxy().Namespace))
			continue
		}
		secret := r.in.Secrets[secretName(s)]
		if secret == nil {
			r.leftOut("envoyResources."+field, fmt.Sprintf("Secret %q does not exist in the namespace %s: create it with the label epic.acnodal.io/use=proxy", secretName(s), r.proxy().Namespace))
			continue
		}
		made, err := translate.SecretResource(s.Name, secret, r.proxy())
		if err != nil {
			r.leftOut("envoyResources."+field, fmt.Sprintf("the Secret %q can't be used: %v", secret.Name, err))
			continue
		}
		if err := r.result.Resources.Add(made); err != nil {
			r.refuse(field, err)
			continue
		}
		r.confine.secrets[s.Name] = true
		r.checkValidity("envoyResources."+field, secret)
	}
}

// checkValidity reports a certificate that is served and that clients refuse.
func (r *rendering) checkValidity(field string, secret *corev1.Secret) {
	if r.in.Now.IsZero() {
		return
	}
	reason, message, until := translate.CheckSecret(secret, r.in.Now)
	if reason != "" {
		r.result.Problems = append(r.result.Problems, translate.Problem{
			Object: r.in.Source, Field: "spec.envoy-template." + field, Reason: reason, Message: fmt.Sprintf("names the Secret %q: %s", secret.Name, message),
		})
	}
	r.result.Until = translate.Earliest(r.result.Until, until)
}

func (r *rendering) clusters(field, value string) {
	p := r.program(field, value)
	if p == nil {
		return
	}
	for i := range r.view.clusters {
		c := &r.view.clusters[i]
		name := c.parameters.ClusterName
		at := field + " for the backend " + name
		cluster := &clusterv3.Cluster{}
		if !r.document(at, p, c.parameters, cluster) {
			continue
		}
		if err := endpointsByEDS(cluster, c); err != nil {
			r.refuse(at, err)
			continue
		}
		if r.checked(at, cluster) && r.put(at, resource.Cluster, name, cluster) {
			r.result.Backends = append(r.result.Backends, c.backend)
		}
	}
}

func (r *rendering) listeners(field, value string) {
	p := r.program(field, value)
	if p == nil {
		return
	}
	for i := range r.view.listeners {
		parameters := &r.view.listeners[i]
		at := field + " for " + parameters.PortName
		l := &listenerv3.Listener{}
		if !r.document(at, p, *parameters, l) {
			continue
		}
		if l.Name == "" {
			l.Name = parameters.PortName
		}
		if r.checked(at, l) && r.place(at, l, parameters) {
			r.put(at, resource.Listener, l.Name, l)
		}
	}
}
