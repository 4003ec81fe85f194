// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/validate"
)

func TestValidatorFlag(t *testing.T) {
	for value, ok := range map[string]bool{
		"auto": true, "off": true, "unix:/run/v.sock": true,
		"": false, "on": false, "unix:": false, "unix:v.sock": false, "/run/v.sock": false, "http://localhost": false,
	} {
		o := newOptions()
		o.validator = value
		err := o.validate()
		if ok != (err == nil) || err != nil && (!strings.Contains(err.Error(), "--validator") || !strings.Contains(err.Error(), "unix:")) {
			t.Errorf("%q: %v", value, err)
		}
	}
}

// What checks configurations: nothing if it is switched off or if there is no Envoy.
func TestChecker(t *testing.T) {
	for name, test := range map[string]struct {
		validator, envoy string
		want             bool
	}{
		"off":          {"off", "/bin/true", false},
		"no Envoy":     {"auto", filepath.Join(t.TempDir(), "envoy"), false},
		"an Envoy":     {"auto", "/bin/true", true},
		"another's is": {"unix:/run/v.sock", "", true},
	} {
		o := newOptions()
		o.validator, o.envoy = test.validator, test.envoy
		if c, run := o.checker(t.Context()); (c != nil) != test.want || run == nil {
			t.Errorf("%s: %v", name, c)
		}
	}
}

// The validator serves even without an Envoy, in place of one that was killed, and
// reports what is missing.
func TestRunValidator(t *testing.T) {
	dir, err := os.MkdirTemp("", "validator") //nolint:usetesting // Paths of unix sockets must be short.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	if err := os.WriteFile(socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ready := started(ctx, validate.NewClient(socket))
	if ready() || !started(ctx, nil)() {
		t.Error("ready without a validator, or not without any")
	}
	ended := make(chan error, 1)
	go func() { ended <- runValidator(ctx, socket, filepath.Join(dir, "envoy")) }()
	c := validate.NewClient(socket)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		_, err := c.Check(t.Context(), &resource.Resource{Type: resource.Route, Name: "r"})
		if err != nil && strings.Contains(err.Error(), "the validator's image has no Envoy") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no answer: %v", err)
		}
	}
	for deadline := time.Now().Add(30 * time.Second); !ready(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not ready")
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := runValidator(t.Context(), filepath.Join(dir, "missing", "s"), ""); err == nil || !strings.Contains(err.Error(), "--socket") {
		t.Errorf("a folder that is not there: %v", err)
	}
}
