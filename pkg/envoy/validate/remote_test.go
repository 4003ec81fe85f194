// SPDX-License-Identifier: Apache-2.0

package validate

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// checkerFunc is a function that checks.
type checkerFunc func(...*resource.Resource) (map[resource.Key]string, error)

func (f checkerFunc) Check(_ context.Context, resources ...*resource.Resource) (map[resource.Key]string, error) {
	return f(resources...)
}

// A client gets the answers of the checker behind the socket, and an error without one.
func TestRemote(t *testing.T) {
	dir, err := os.MkdirTemp("", "validate") //nolint:usetesting // Paths of unix sockets must be short.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	c := NewClient(socket)
	r := route(t, "a", "/a")
	if _, err := c.Check(t.Context(), r); err == nil || !strings.Contains(err.Error(), socket) {
		t.Errorf("without a validator: %v", err)
	}
	if refused, err := c.Check(t.Context(), &resource.Resource{Type: resource.Endpoint}); err != nil || len(refused) > 0 {
		t.Errorf("without a question: %v, %v", refused, err)
	}
	gone, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if c.Connected(gone) {
		t.Error("connected to nobody")
	}
	var fails error
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		ended <- Serve(ctx, l, checkerFunc(func(resources ...*resource.Resource) (map[resource.Key]string, error) {
			if len(resources) != 1 || resources[0].Version != r.Version || string(resources[0].Body) != string(r.Body) {
				return nil, errors.New("another question")
			}
			return map[resource.Key]string{r.Key(): "no\nway"}, fails
		}))
	}()
	if !c.Connected(t.Context()) {
		t.Error("not connected")
	}
	if refused, err := c.Check(t.Context(), r, &resource.Resource{Type: resource.Secret, Name: "key"}); err != nil || refused[r.Key()] != "no\nway" || len(refused) != 1 {
		t.Errorf("refused %v, %v", refused, err)
	}
	fails = errors.New("not all of it")
	if refused, err := c.Check(t.Context(), r); err == nil || err.Error() != "not all of it" || len(refused) != 1 {
		t.Errorf("refused in part %v, %v", refused, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := c.Check(t.Context(), r); err == nil {
		t.Error("the validator answers though it ended")
	}
}
