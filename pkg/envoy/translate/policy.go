// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	statefulv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/stateful_session/v3"
	cookiev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/stateful_session/cookie/v3"
	headerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/stateful_session/header/v3"
	previoushostsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	httptypev3 "github.com/envoyproxy/go-control-plane/envoy/type/http/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// defaultSessionName is the cookie or header that binds a client to an endpoint, unless
// the route sets one.
const defaultSessionName = "epic-session"

// maxBackoff is the delay before a retry up to which later ones grow tenfold.
const maxBackoff = time.Hour

// previousHosts makes a retry choose an endpoint that was not tried before.
var previousHosts = pack(&previoushostsv3.PreviousHostsPredicate{})

// parsed returns a duration of a route. The API only accepts valid ones; an invalid one
// is treated as absent.
func parsed(d *gatewayv1.Duration) (time.Duration, bool) {
	if d == nil {
		return 0, false
	}
	v, err := time.ParseDuration(string(*d))
	return v, err == nil && v >= 0
}

// setTimeouts sets the timeouts of requests. Without a timeout in the route, only idle
// requests time out.
func (r *rule) setTimeouts(action *routev3.RouteAction) {
	action.Timeout = durationpb.New(0)
	if r.timeouts == nil {
		return
	}
	if d, ok := parsed(r.timeouts.Request); ok {
		action.Timeout = durationpb.New(d)
		// A longer timeout, or none at all, also applies to idle requests.
		switch {
		case d == 0:
			action.IdleTimeout = durationpb.New(0)
		case d > r.g.limits.streamIdle:
			action.IdleTimeout = durationpb.New(d)
		}
	}
}

// setRetry sets the retries of requests. Without a retry in the route, a request that did
// not reach an endpoint is sent to another one, or again after a delay, because pods
// start and stop.
func (r *rule) setRetry(action *routev3.RouteAction) {
	if r.retry == nil && (r.timeouts == nil || r.timeouts.BackendRequest == nil) {
		action.RetryPolicy = usualRetry
		return
	}
	policy := connectRetry()
	if spec := r.retry; spec != nil {
		policy = newRetry()
		on := []string{"connect-failure", "refused-stream"}
		if r.timeouts != nil && r.timeouts.BackendRequest != nil {
			on = append(on, "reset")
		}
		if len(spec.Codes) > 0 {
			on = append(on, "retriable-status-codes")
		}
		policy.RetryOn = strings.Join(on, ",")
		for _, code := range spec.Codes {
			policy.RetriableStatusCodes = append(policy.RetriableStatusCodes, uint32(code))
		}
		if spec.Attempts != nil {
			policy.NumRetries = wrapperspb.UInt32(uint32(max(*spec.Attempts, 0)))
		}
		if d, ok := parsed(spec.Backoff); ok && d >= time.Millisecond {
			policy.RetryBackOff = &routev3.RetryPolicy_RetryBackOff{BaseInterval: durationpb.New(d), MaxInterval: durationpb.New(max(d, 10*min(d, maxBackoff)))}
		}
	}
	if r.timeouts != nil {
		if d, ok := parsed(r.timeouts.BackendRequest); ok && d > 0 {
			policy.PerTryTimeout = durationpb.New(d)
		}
	}
	action.RetryPolicy = policy
}

// usualRetry is the retry policy that most routes share. It must not be modified.
var usualRetry = connectRetry()

// connectRetry returns a policy that retries a request, with delays, until an endpoint
// accepts it.
func connectRetry() *routev3.RetryPolicy {
	policy := newRetry()
	policy.NumRetries = wrapperspb.UInt32(defaultLimits.connectAttempts - 1)
	policy.RetryBackOff = &routev3.RetryPolicy_RetryBackOff{
		BaseInterval: durationpb.New(defaultLimits.connectPause), MaxInterval: durationpb.New(defaultLimits.connectPauseMost),
	}
	return policy
}

func newRetry() *routev3.RetryPolicy {
	return &routev3.RetryPolicy{
		RetryOn:    "connect-failure,refused-stream",
		NumRetries: wrapperspb.UInt32(1),
		RetryHostPredicate: []*routev3.RetryPolicy_RetryHostPredicate{{
			Name:       "envoy.retry_host_predicates.previous_hosts",
			ConfigType: &routev3.RetryPolicy_RetryHostPredicate_TypedConfig{TypedConfig: previousHosts},
		}},
		HostSelectionRetryMaxAttempts: 5,
	}
}

// sessions binds a client to the endpoint that responded to its first request. It returns
// nil if the rule does not request it.
func sessions(spec *gatewayv1.SessionPersistence) *anypb.Any {
	if spec == nil {
		return nil
	}
	name := defaultSessionName
	if spec.SessionName != nil && *spec.SessionName != "" {
		name = *spec.SessionName
	}
	var state *corev3.TypedExtensionConfig
	if spec.Type != nil && *spec.Type == gatewayv1.HeaderBasedSessionPersistence {
		state = &corev3.TypedExtensionConfig{
			Name:        "envoy.http.stateful_session.header",
			TypedConfig: pack(&headerv3.HeaderBasedSessionState{Name: name}),
		}
	} else {
		cookie := &httptypev3.Cookie{Name: name, Path: "/", Attributes: []*httptypev3.CookieAttribute{{Name: "HttpOnly"}, {Name: "SameSite", Value: "Lax"}}}
		// A permanent cookie has an expiration, which browsers and the proxy respect.
		permanent := spec.CookieConfig != nil && spec.CookieConfig.LifetimeType != nil && *spec.CookieConfig.LifetimeType == gatewayv1.PermanentCookieLifetimeType
		if d, ok := parsed(spec.AbsoluteTimeout); ok && d > 0 && permanent {
			cookie.Ttl = durationpb.New(max(d, time.Second).Truncate(time.Second))
		}
		state = &corev3.TypedExtensionConfig{
			Name:        "envoy.http.stateful_session.cookie",
			TypedConfig: pack(&cookiev3.CookieBasedSessionState{Cookie: cookie}),
		}
	}
	return pack(&statefulv3.StatefulSessionPerRoute{Override: &statefulv3.StatefulSessionPerRoute_StatefulSession{
		StatefulSession: &statefulv3.StatefulSession{SessionState: state},
	}})
}
