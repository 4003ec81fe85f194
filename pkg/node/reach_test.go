// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/node/status"
)

func TestReach(t *testing.T) {
	var next error
	reach := &Reach{}
	transport := reach.Wrap(roundTripper(func(*http.Request) (*http.Response, error) { return &http.Response{Body: http.NoBody}, next }))
	ask := func(ctx context.Context) {
		t.Helper()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://192.0.2.1", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := transport.RoundTrip(request)
		if !errors.Is(err, next) {
			t.Errorf("the caller gets %v, want %v", err, next)
		}
		_ = answer.Body.Close()
	}
	given, giveUp := context.WithCancel(t.Context())
	giveUp()
	down := errors.New("connection refused")
	for _, step := range []struct {
		what       string
		ctx        context.Context //nolint:containedctx // of one request
		next, want error
	}{
		{"it answers", t.Context(), nil, nil},
		{"the program gives up", given, down, nil},
		{"it does not answer", t.Context(), down, down},
		{"the program gives up then", given, context.Canceled, down},
		{"it answers again", t.Context(), nil, nil},
	} {
		next = step.next
		ask(step.ctx)
		if err := reach.Err(); !errors.Is(err, step.want) {
			t.Errorf("%s: %v, want %v", step.what, err, step.want)
		}
	}
	if err := (*Reach)(nil).Err(); err != nil {
		t.Errorf("nothing is noted: %v", err)
	}
}

// A program whose API no longer answers reports that, though it has read everything before.
func TestReportsThatTheAPIIsAway(t *testing.T) {
	r := newRig(t)
	away := errors.New("no route to host")
	var down atomic.Bool
	r.config.Reach = &Reach{}
	config := rest.CopyConfig(r.server)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			if down.Load() {
				return nil, away
			}
			return next.RoundTrip(request)
		})
	})
	config.Wrap(r.config.Reach.Wrap)
	client, err := versioned.NewForConfig(config)
	r.must(client, err)
	r.config.Client = client
	r.run()
	synced := func(what string, want bool) {
		t.Helper()
		// As the watches do that are begun again.
		_, _ = client.EpicV1().LoadBalancers(account).List(t.Context(), metav1.ListOptions{})
		r.until(what, func() error {
			report, err := status.NewClient(r.config.StatusSocket).Report(t.Context())
			if err != nil {
				return err
			}
			told := strings.Contains(strings.Join(report.Problems, "\n"), "the API does not respond: no route to host")
			if report.Synced != want || told == want {
				return fmt.Errorf("synced %t, problems %q", report.Synced, report.Problems)
			}
			return nil
		})
	}
	synced("all is well", true)
	down.Store(true)
	synced("the API is away", false)
	down.Store(false)
	synced("the API is back", true)
}
