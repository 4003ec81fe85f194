// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"net/http"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	authenticationv1 "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorizationv1 "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

const (
	// reviewTimeout is less than the timeout of a scrape, 10 s by default.
	reviewTimeout = 5 * time.Second
	// Results are cached this long, so a revoked token can read metrics for at most that
	// time.
	tokenTTL, allowTTL, denyTTL = time.Minute, time.Minute, 10 * time.Second
)

// authorized authenticates clients with the kube-apiserver of config, and authorizes them
// for the path, before next serves.
func authorized(config *rest.Config, next http.Handler) (http.Handler, error) {
	config = rest.CopyConfig(config)
	config.Timeout = reviewTimeout
	authentication, err := authenticationv1.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	authorization, err := authorizationv1.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	// The next scrape is the retry.
	once := &wait.Backoff{Duration: time.Millisecond, Steps: 1}
	authenticate, _, err := authenticatorfactory.DelegatingAuthenticatorConfig{
		Anonymous: &apiserver.AnonymousAuthConfig{Enabled: false}, CacheTTL: tokenTTL,
		TokenAccessReviewClient: authentication, TokenAccessReviewTimeout: reviewTimeout, WebhookRetryBackoff: once,
	}.New()
	if err != nil {
		return nil, err
	}
	authorize, err := authorizerfactory.DelegatingAuthorizerConfig{
		SubjectAccessReviewClient: authorization, AllowCacheTTL: allowTTL, DenyCacheTTL: denyTTL, WebhookRetryBackoff: once,
	}.New()
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		logger := klog.FromContext(r.Context())
		client, ok, err := authenticate.AuthenticateRequest(r)
		if err != nil || !ok {
			// If the cluster does not respond, no client is authenticated.
			logger.V(2).Info("A client of the metrics is not authenticated", "err", err)
			http.Error(w, "the cluster does not accept this token: use the token of a service account of the cluster in which this program runs", http.StatusUnauthorized)
			return
		}
		decision, reason, err := authorize.Authorize(r.Context(), authorizer.AttributesRecord{
			User: client.User, Verb: strings.ToLower(r.Method), Path: r.URL.Path,
		})
		if err != nil {
			logger.Error(err, "Can't check whether a client may read metrics", "client", client.User.GetName())
			http.Error(w, "the cluster did not respond to the authorization check: try again", http.StatusServiceUnavailable)
			return
		}
		if decision != authorizer.DecisionAllow {
			logger.V(2).Info("A client may not read metrics", "client", client.User.GetName(), "reason", reason)
			http.Error(w, "this user may not get the path /metrics: bind it to the ClusterRole epic-metrics-reader, or epic-client-metrics-reader in a client cluster", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	}), nil
}
