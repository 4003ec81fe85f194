// SPDX-License-Identifier: Apache-2.0

package translate_test

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/acnodal/epic/pkg/envoy/envoytest"
	validator "github.com/acnodal/epic/pkg/envoy/validate"
)

// What a proxy's Envoy accepts, the standing Envoy of the validator accepts, too: it refuses
// nothing because of what it changes in resources to check them: their addresses, and that
// there are no endpoints and secrets.
func TestValidatorAcceptsGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.in.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	v := validator.New(validator.Options{Envoy: envoytest.Path(t), LiveTimeout: time.Minute})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- v.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	connected, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if !v.Connected(connected) {
		t.Fatal("the standing Envoy does not connect")
	}
	for _, file := range files {
		set := readWorld(t, file).translate(t).set
		refused, err := v.Check(t.Context(), slices.Collect(maps.Values(set))...)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for key, text := range refused {
			t.Errorf("%s: the %s %q is refused: %s", file, key.Type, key.Name, text)
		}
	}
	if n := v.Started(); n > 0 {
		t.Errorf("%d other Envoys were started", n)
	}
}
