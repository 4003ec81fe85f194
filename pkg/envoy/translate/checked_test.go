// SPDX-License-Identifier: Apache-2.0

package translate_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/acnodal/epic/pkg/envoy/envoytest"
	"github.com/acnodal/epic/pkg/envoy/resource"
	envoyvalidate "github.com/acnodal/epic/pkg/envoy/validate"
)

// The Envoy beside the operator, which checks resources before proxies get them, accepts
// what Envoys accept: with its listeners elsewhere, and without endpoints and secrets.
func TestCheckedResources(t *testing.T) {
	files, err := filepath.Glob("testdata/*.in.yaml")
	if err != nil {
		t.Fatal(err)
	}
	v := envoyvalidate.New(envoyvalidate.Options{Envoy: envoytest.Path(t), LiveTimeout: 30 * time.Second})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- v.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	connected, stop := context.WithTimeout(ctx, patience)
	defer stop()
	if !v.Connected(connected) {
		t.Fatal("the Envoy does not connect")
	}
	for _, file := range files {
		var all []*resource.Resource
		for k, r := range readWorld(t, file).translate(t).set {
			if k.Type == resource.Cluster || k.Type == resource.Listener || k.Type == resource.Route {
				all = append(all, r)
			}
		}
		if refused, err := v.Check(ctx, all...); err != nil || len(refused) > 0 {
			t.Errorf("%s: %v, %v", file, refused, err)
		}
	}
}
