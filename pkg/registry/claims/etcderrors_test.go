// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
)

func TestAPIError(t *testing.T) {
	plain := errors.New("a defect")
	for name, test := range map[string]struct {
		err  error
		code int32
		// words are in the message, and retry is after how many seconds a client
		// tries again by itself.
		words []string
		retry int32
	}{
		"no error":                 {err: nil},
		"a read timed out":         {fmt.Errorf("read parents: %w", rpctypes.ErrTimeout), http.StatusServiceUnavailable, []string{"etcd", "timed out", "nothing was written", "try again"}, 0},
		"a read without a leader":  {rpctypes.ErrNoLeader, http.StatusServiceUnavailable, []string{"no leader"}, 0},
		"a read without an etcd":   {status.Error(codes.Unavailable, "connection refused"), http.StatusServiceUnavailable, []string{"connection refused"}, 0},
		"a read took too long":     {fmt.Errorf("read claim: %w", context.DeadlineExceeded), http.StatusGatewayTimeout, []string{"before the request's timeout", "nothing was written"}, 0},
		"a write took too long":    {writeError(context.DeadlineExceeded), http.StatusGatewayTimeout, []string{"may have landed"}, 0},
		"a write timed out":        {writeError(rpctypes.ErrTimeoutDueToLeaderFail), http.StatusGatewayTimeout, []string{"leader failure", "may have landed", "read the object"}, 0},
		"a write lost its etcd":    {writeError(status.Error(codes.Unavailable, "EOF")), http.StatusGatewayTimeout, []string{"EOF", "may have landed"}, 0},
		"etcd is full":             {writeError(rpctypes.ErrNoSpace), http.StatusInsufficientStorage, []string{"quota", "nothing was written", "compact", "disarm"}, 0},
		"etcd is busy":             {writeError(rpctypes.ErrTooManyRequests), http.StatusTooManyRequests, []string{"too many pending requests", "try again"}, 1},
		"too large for etcd":       {writeError(rpctypes.ErrRequestTooLarge), http.StatusRequestEntityTooLarge, []string{"too large"}, 0},
		"too large for its client": {writeError(status.Error(codes.ResourceExhausted, "trying to send message larger than max")), http.StatusRequestEntityTooLarge, []string{"too large"}, 0},
		"a status stays":           {apierrors.NewBadRequest("no"), http.StatusBadRequest, []string{"no"}, 0},
		"a conflict stays":         {storage.NewResourceVersionConflictsError("k", 1), http.StatusConflict, nil, 0},
		"all else stays":           {plain, http.StatusInternalServerError, []string{"a defect"}, 0},
		"a write's defect stays":   {writeError(plain), http.StatusInternalServerError, []string{"a defect"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			err := apiError(test.err)
			if test.err == nil {
				if err != nil {
					t.Errorf("No error became %v", err)
				}
				return
			}
			got := responsewriters.ErrorToAPIStatus(err)
			if got.Code != test.code {
				t.Errorf("The code is %d, want %d: %s", got.Code, test.code, got.Message)
			}
			for _, word := range test.words {
				if !strings.Contains(got.Message, word) {
					t.Errorf("The message has no %q: %s", word, got.Message)
				}
			}
			if retry := got.Details; (retry == nil && test.retry != 0) || retry != nil && retry.RetryAfterSeconds != test.retry {
				t.Errorf("Details are %+v, want to try again after %d s", retry, test.retry)
			}
		})
	}
}

// What a client is told by a server whose etcd is full, and then gone.
func TestEtcdInTrouble(t *testing.T) {
	ctx := t.Context()
	endpoint, stop := stoppableEtcd(t, nil)
	b, err := NewBackend(ctx, storagebackend.Config{Prefix: "/trouble", Transport: storagebackend.TransportConfig{ServerList: []string{endpoint}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	s := storeFor(t, b, "pods", &idRules{})
	mustCreate(t, s, "pods", pod("first"))

	raise := func(action etcdserverpb.AlarmRequest_AlarmAction) {
		t.Helper()
		if _, err := etcdserverpb.NewMaintenanceClient(rawClient(t, endpoint).ActiveConnection()).Alarm(ctx, &etcdserverpb.AlarmRequest{Action: action, Alarm: etcdserverpb.AlarmType_NOSPACE}); err != nil {
			t.Fatal(err)
		}
	}
	want := func(what string, err error, code int32) {
		t.Helper()
		if err == nil {
			t.Errorf("%s: no error", what)
			return
		}
		got := responsewriters.ErrorToAPIStatus(err)
		if got.Code != code {
			t.Errorf("%s: got %d, want %d: %s", what, got.Code, code, got.Message)
		}
	}

	raise(etcdserverpb.AlarmRequest_ACTIVATE)
	_, err = create(ctx, s, "pods", pod("second"))
	want("create in a full etcd", err, http.StatusInsufficientStorage)
	_, err = annotate(ctx, s, "pods", "first", "a", "b")
	want("update in a full etcd", err, http.StatusInsufficientStorage)
	if err := remove(ctx, s, "pods", "first"); err != nil {
		t.Errorf("A full etcd lets nothing be deleted: %v", err)
	}
	raise(etcdserverpb.AlarmRequest_DEACTIVATE)
	mustCreate(t, s, "pods", pod("third"))

	stop()
	// The client of etcd waits for a new connection as long as the request may.
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err = create(ctx, s, "pods", pod("fourth"))
	want("create without etcd", err, http.StatusGatewayTimeout)
	want("get without etcd", s.Get(ctx, key("pods", "third"), storage.GetOptions{}, newPod()), http.StatusGatewayTimeout)
	want("list without etcd", s.GetList(ctx, "/pods/", storage.ListOptions{Recursive: true, Predicate: storage.Everything}, newPodList()), http.StatusGatewayTimeout)
	_, err = s.GetCurrentResourceVersion(ctx)
	want("resource version without etcd", err, http.StatusGatewayTimeout)
}

// A server does not wait long to connect to an etcd that comes back, however long it was away.
func TestReconnect(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for 20 seconds; not with -short")
	}
	t.Parallel()
	dir, err := os.MkdirTemp("", "etcd") //nolint:usetesting // a socket's path has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	e, endpoint, err := startEtcd(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	client, err := newEtcdClient(t.Context(), storagebackend.TransportConfig{ServerList: []string{endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	e.Close()
	// By default, the wait would have grown to more than ten seconds.
	time.Sleep(20 * time.Second)
	if e, _, err = startEtcd(dir, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	began := time.Now()
	// One call gives up before the client connects.
	for _, err = client.Client.Get(t.Context(), "a"); err != nil && time.Since(began) < time.Minute; {
		_, err = client.Client.Get(t.Context(), "a")
	}
	if took := time.Since(began); took > 2*maxReconnect {
		t.Errorf("the connection took %s", took)
	}
}
