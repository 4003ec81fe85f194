// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/template"
	"github.com/acnodal/epic/pkg/envoy/translate"
	"github.com/acnodal/epic/pkg/envoy/validate"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

const (
	// checkTimeout limits how long a translation waits for the check of its result.
	checkTimeout = 10 * time.Second
	// maxTold is the maximum number of refused resources of a template that are reported.
	maxTold = 5
)

// check validates a translation with Envoy before a proxy gets it, and changes the
// translation so that Envoy accepts it. It returns Envoy's error for each resource that
// no proxy may get, and whether Envoy accepts the rest. If Envoy can't be queried,
// everything passes: the proxy's own Envoy isolates refused resources.
func (f *Feed) check(ctx context.Context, s *source, p *proxy, result *translate.Result) (withheld map[resource.Key]string, checked bool) {
	if f.o.Checker == nil {
		return nil, false
	}
	refused, err := f.refused(ctx, f.unknown(s, p.accepted(), result.Resources))
	if len(refused) == 0 {
		return nil, err == nil
	}
	withheld = map[resource.Key]string{}
	result.Resources = maps.Clone(result.Resources)
	for _, key := range inOrder(refused) {
		r := result.Resources[key]
		isolated, failed := validate.Isolate(ctx, f.o.Checker, r)
		if failed != nil {
			err = failed
			f.checks(ctx, failed)
		}
		if isolated == nil {
			withheld[key] = refused[key]
			result.Problems = append(result.Problems, translate.Problem{
				Object: blamed(r), Reason: validate.ReasonRefused,
				Message: fmt.Sprintf("the %s %q is not sent to Envoys, which keep their current version, because the validator rejected it: %s", r.Type, r.Name, refused[key]),
			})
			continue
		}
		result.Resources[key] = isolated.Resource
		for _, name := range slices.Sorted(maps.Keys(isolated.Faults)) {
			owner, field := validate.Owner(r, name)
			what := "answers 500"
			if isolated.Dropped[name] {
				what = "is left out, or one of its matches is,"
			}
			result.Problems = append(result.Problems, translate.Problem{
				Object: owner, Field: field, Reason: validate.ReasonRefused,
				Message: fmt.Sprintf("%s, because Envoy refuses it: %s: change the rule", what, isolated.Faults[name]),
			})
		}
	}
	return withheld, err == nil
}

// accepted returns the resources of the last translation if Envoy accepts all of them
// except the withheld ones.
func (p *proxy) accepted() resource.Set {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.checked {
		return nil
	}
	set := maps.Clone(p.result.Resources)
	for key := range p.withheld {
		delete(set, key)
	}
	return set
}

// checkTemplate validates the result of a template with Envoy. It is served completely or
// not at all. checkTemplate returns the reason why not.
func (f *Feed) checkTemplate(ctx context.Context, used *owned, result *translate.Result) []translate.Problem {
	all := slices.Collect(maps.Values(result.Resources))
	refused, _ := f.refused(ctx, all)
	var problems []translate.Problem
	for _, key := range inOrder(refused) {
		if len(problems) == maxTold {
			problems[0].Message = fmt.Sprintf("%s (and %d other resources)", problems[0].Message, len(refused)-1)
			break
		}
		problems = append(problems, translate.Problem{
			Object: used.source, Field: "spec.envoy-template", Reason: template.ReasonRefused,
			Message: fmt.Sprintf("renders the %s %q, which Envoy rejects: %s", key.Type, key.Name, refused[key]),
		})
	}
	return problems
}

// refused returns Envoy's errors for resources.
func (f *Feed) refused(ctx context.Context, resources []*resource.Resource) (map[resource.Key]string, error) {
	if f.o.Checker == nil || len(resources) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	began := time.Now()
	refused, err := f.o.Checker.Check(ctx, resources...)
	checkSeconds.Observe(time.Since(began).Seconds())
	f.checks(ctx, err)
	for key := range refused {
		refusals.WithLabelValues(key.Type.String()).Inc()
	}
	return refused, err
}

// checks records whether Envoy could be queried, and logs changes.
func (f *Feed) checks(ctx context.Context, err error) {
	if err != nil {
		unchecked.Inc()
	}
	if was := f.unchecked.Swap(err != nil); was != (err != nil) {
		if err != nil {
			klog.FromContext(ctx).Error(err, "Configurations can't be checked before proxies get them; an Envoy that rejects one keeps its current version")
		} else {
			klog.FromContext(ctx).Info("Configurations are checked again before proxies get them")
		}
	}
}

// unknown returns the resources that Envoy has not accepted yet, neither when the proxy
// was last translated nor in an Envoy of the proxy, whose response is equally valid.
func (f *Feed) unknown(s *source, before, set resource.Set) []*resource.Resource {
	var all []*resource.Resource
	for key, r := range set {
		earlier := before[key]
		if earlier != nil && earlier.Version == r.Version || f.accepts(s.id, key, r.Version) {
			continue
		}
		if r = validate.Changed(earlier, r); r != nil {
			all = append(all, r)
		}
	}
	return all
}

// accepts reports whether an Envoy of a proxy has accepted a version of a resource.
func (f *Feed) accepts(id proxyidentity.Proxy, key resource.Key, version string) bool {
	for _, has := range f.o.Server.Accepted(id, key) {
		if has == version {
			return true
		}
	}
	return false
}

// blamed returns the object on which a refusal is reported. A route configuration
// consists of many routes, so if no single route is at fault, the refusal is reported on
// the proxy.
func blamed(r *resource.Resource) resource.Source {
	switch {
	case len(r.Sources) == 0:
		return resource.Source{}
	case r.Type == resource.Route:
		return r.Sources[len(r.Sources)-1]
	}
	return r.Sources[0]
}

func inOrder(all map[resource.Key]string) []resource.Key {
	return slices.SortedFunc(maps.Keys(all), func(a, b resource.Key) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name))
	})
}
