// SPDX-License-Identifier: Apache-2.0

package overview

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "Write the expected output of the golden tests.")

// input is what a golden test begins with.
type input struct {
	Installation *Installation `json:"installation,omitempty"`
	Objects      *Objects      `json:"objects,omitempty"`
}

// output is what has to come of it.
type output struct {
	Checks []Check `json:"checks,omitempty"`
	Model  *Model  `json:"model,omitempty"`
}

// TestGolden compares what testdata/NAME.in.yaml yields with testdata/NAME.out.yaml.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.in.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".in.yaml"), func(t *testing.T) {
			in := read(t, file)
			var out output
			if in.Installation != nil {
				out.Checks = in.Installation.Checks()
			}
			if in.Objects != nil {
				out.Model = Build(in.Objects)
				for _, f := range out.Model.Faults {
					if f.Fix == "" || f.Message == "" {
						t.Errorf("A fault without a message or a fix: %+v", f)
					}
				}
			}
			got, err := yaml.Marshal(out)
			if err != nil {
				t.Fatal(err)
			}
			golden := strings.TrimSuffix(file, ".in.yaml") + ".out.yaml"
			if *update {
				if err := os.WriteFile(golden, append([]byte("# SPDX-License-Identifier: Apache-2.0\n\n"), got...), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			_, want, _ = bytes.Cut(want, []byte("\n\n"))
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s (go test ./pkg/overview -update):\n%s", golden, diff)
			}
		})
	}
}

// The order in which objects were read makes no difference.
func TestOrder(t *testing.T) {
	files, err := filepath.Glob("testdata/*.in.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		in := read(t, file)
		if in.Objects == nil {
			continue
		}
		want, o := Build(in.Objects), in.Objects
		reverse(o.GatewayNodes)
		reverse(o.Accounts)
		reverse(o.Groups)
		reverse(o.LoadBalancers)
		reverse(o.GWProxies)
		reverse(o.RemoteEndpoints)
		reverse(o.GWRoutes)
		reverse(o.GWEndpointSlices)
		reverse(o.Pods)
		if diff := cmp.Diff(want, Build(o)); diff != "" {
			t.Errorf("%s:\n%s", file, diff)
		}
	}
}

func reverse[T any](all []T) {
	for i, j := 0, len(all)-1; i < j; i, j = i+1, j-1 {
		all[i], all[j] = all[j], all[i]
	}
}

func read(t *testing.T, file string) (in input) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(data, &in); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return in
}
