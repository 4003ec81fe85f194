// SPDX-License-Identifier: Apache-2.0

package validate

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/lru"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// Options are the options of a Validator.
type Options struct {
	// Envoy is the path of Envoy.
	Envoy string
	// Dir is the directory for configurations, or empty for the system's temporary
	// directory.
	Dir string
	// Concurrency is the maximum number of Envoys that run concurrently, 1 by default.
	Concurrency int
	// Timeout is the time limit for one Envoy, and MaxMemory the limit for its private
	// memory, in bytes.
	Timeout   time.Duration
	MaxMemory uint64
	// LiveTimeout is the time limit for a response of the long-running Envoy.
	LiveTimeout time.Duration
	// CacheSize is the number of cached results.
	CacheSize int
}

// Validator validates resources. Its methods may be called concurrently.
type Validator struct {
	options Options
	slots   chan struct{}
	// answers caches Envoy's error for each content; empty if it accepts the content.
	answers *lru.Cache
	// sane is set once an Envoy has accepted a configuration without resources.
	sane    atomic.Bool
	started atomic.Int64
	// live is the long-running Envoy; nil until Run.
	live atomic.Pointer[live]
	// run validates resources together with one Envoy.
	run func(context.Context, []*resource.Resource) (refusal string, err error)
}

// New returns a Validator.
func New(o Options) *Validator {
	if o.Concurrency == 0 {
		o.Concurrency = 1
	}
	if o.Timeout == 0 {
		o.Timeout = 20 * time.Second
	}
	if o.LiveTimeout == 0 {
		o.LiveTimeout = 3 * time.Second
	}
	if o.MaxMemory == 0 {
		o.MaxMemory = 1 << 30
	}
	if o.CacheSize == 0 {
		o.CacheSize = 50_000
	}
	v := &Validator{options: o, slots: make(chan struct{}, o.Concurrency), answers: lru.New(o.CacheSize)}
	v.run = v.runEnvoy
	return v
}

// Run keeps an Envoy running until ctx ends. It responds much faster than an Envoy that
// is started for each check. While it is down, or does not respond, Check starts others.
func (v *Validator) Run(ctx context.Context) error {
	l := newLive(v.options)
	v.live.Store(l)
	defer v.live.Store(nil)
	return l.run(ctx)
}

// Connected waits until the long-running Envoy is connected. It returns false if ctx ends
// first.
func (v *Validator) Connected(ctx context.Context) bool {
	const interval = 10 * time.Millisecond
	return wait.PollUntilContextCancel(ctx, interval, true, func(context.Context) (bool, error) {
		l := v.live.Load()
		return l != nil && l.isConnected(), nil
	}) == nil
}

// Started returns the number of Envoys started for single checks.
func (v *Validator) Started() int64 { return v.started.Load() }

// checked reports whether resources of a type can be checked.
func checked(t resource.Type) bool {
	return t == resource.Cluster || t == resource.Listener || t == resource.Route
}

// content identifies the content of a resource.
type content struct {
	typ     resource.Type
	version string
}

func contentOf(r *resource.Resource) content { return content{r.Type, r.Version} }

// answer returns the cached result for a content, and false if there is none.
func (v *Validator) answer(c content) (string, bool) {
	cached, _ := v.answers.Get(c)
	text, ok := cached.(string)
	return text, ok
}

// Check returns Envoy's errors for the resources that it refuses. It returns an error if
// not all could be checked, because no Envoy ran or ctx ended; the results returned with
// it are still valid. Resources of other types pass.
func (v *Validator) Check(ctx context.Context, resources ...*resource.Resource) (map[resource.Key]string, error) {
	refused := map[resource.Key]string{}
	answers := map[content]string{}
	var open []*resource.Resource
	for _, r := range resources {
		if !checked(r.Type) {
			continue
		}
		if text, ok := v.answer(contentOf(r)); !ok {
			open = append(open, r)
		} else if text != "" {
			refused[r.Key()] = text
		}
	}
	answer := func(r *resource.Resource, text string) {
		answers[contentOf(r)] = text
		v.answers.Add(contentOf(r), text)
	}
	var err error
	if rest := open; len(open) > 0 {
		if l := v.live.Load(); l != nil {
			rest = l.ask(ctx, v.unanswered(open, answers), answer)
		}
		if len(rest) > 0 {
			err = v.start(ctx, rest, answers, answer)
		}
	}
	for _, r := range open {
		if text := answers[contentOf(r)]; text != "" {
			refused[r.Key()] = text
		}
	}
	return refused, err
}

// start checks resources with Envoys that are started for that purpose. It adds the
// results by answer.
func (v *Validator) start(ctx context.Context, open []*resource.Resource, answers map[content]string, answer func(*resource.Resource, string)) error {
	select {
	case v.slots <- struct{}{}:
		defer func() { <-v.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := v.sanity(ctx); err != nil {
		return err
	}
	// Others may have checked the same content while this call waited.
	groups := [][]*resource.Resource{v.unanswered(open, answers)}
	var errs []error
	for len(groups) > 0 {
		group := groups[0]
		groups = groups[1:]
		if len(group) == 0 {
			continue
		}
		text, err := v.run(ctx, group)
		switch {
		case err != nil:
			errs = append(errs, err)
			groups = nil
		case text == "":
			for _, r := range group {
				answer(r, "")
			}
		case len(group) == 1:
			answer(group[0], text)
		default:
			groups = append(groups, group[:len(group)/2], group[len(group)/2:])
		}
	}
	return errors.Join(errs...)
}

// sanity verifies that a refusal is caused by resources. The caller has a slot.
func (v *Validator) sanity(ctx context.Context) error {
	if v.sane.Load() {
		return nil
	}
	text, err := v.run(ctx, nil)
	if err != nil {
		return err
	}
	if text != "" {
		return fmt.Errorf("the Envoy that checks resources rejects even an empty configuration: %s", text)
	}
	v.sane.Store(true)
	return nil
}

// unanswered returns one resource of each content without a result, and adds the
// available results to answers.
func (v *Validator) unanswered(all []*resource.Resource, answers map[content]string) []*resource.Resource {
	var open []*resource.Resource
	seen := map[content]bool{}
	for _, r := range all {
		c := contentOf(r)
		if text, ok := v.answer(c); ok {
			answers[c] = text
		} else if !seen[c] {
			seen[c] = true
			open = append(open, r)
		}
	}
	return open
}
