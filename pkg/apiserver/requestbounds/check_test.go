// SPDX-License-Identifier: Apache-2.0

package requestbounds

import (
	"encoding/json"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

func list(n int, entry string) string {
	return "[" + strings.TrimSuffix(strings.Repeat(entry+",", n), ",") + "]"
}

func TestScan(t *testing.T) {
	for text, want := range map[string]shape{
		``: {}, `{}`: {}, `[]`: {}, `[ ]`: {}, `[[]]`: {1, 1}, `[1]`: {1, 1}, `["]","\"],"]`: {2, 2}, `"[1,2,3]"`: {},
		`{"a":[1,2,{"b":[1,2,3,4]}],"c":[]}`: {0, 4}, `[{"a":1,"b":2,"c":3}]`: {1, 1}, `[1,2`: {2, 2}, `]]][1,1`: {2, 2},
		`{"a":"\\","b":[1,2]}`: {0, 2}, `[[1,2,3],[1]]`: {2, 3}, `"unfinished \`: {}, `[,,,]`: {4, 4},
	} {
		if got := scan([]byte(text)); got != want {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
}

// FuzzScan compares the scan of what is JSON with what the decoder finds.
func FuzzScan(f *testing.F) {
	for _, s := range []string{`[1,"a",{"b":[[],[1,2]]}]`, `{"a":[{}]}`, `["\\",",]"]`, "[\n1 ,\t2]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got := scan(text)
		var v any
		if json.Unmarshal(text, &v) != nil {
			return
		}
		want := shape{longest: longest(v)}
		if l, ok := v.([]any); ok {
			want.top = len(l)
		}
		// A key that comes twice hides the first value from the decoder.
		if got.top != want.top || got.longest < want.longest || got.longest > want.longest && !hasObject(text) {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	})
}

func hasObject(text []byte) bool { return strings.Contains(string(text), "{") }

func longest(v any) int {
	n := 0
	switch v := v.(type) {
	case []any:
		n = len(v)
		for _, e := range v {
			n = max(n, longest(e))
		}
	case map[string]any:
		for _, e := range v {
			n = max(n, longest(e))
		}
	}
	return n
}

func TestCheck(t *testing.T) {
	const (
		plain, strict = "application/json", "application/strategic-merge-patch+json"
		patch, merge  = "application/json-patch+json", "application/merge-patch+json"
		apply, asYAML = "application/apply-patch+yaml", "application/yaml"
	)
	op := `{"op":"add","path":"/a/0","value":0}`
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
	for _, test := range []struct{ name, mediaType, body, refusal string }{
		{"a long list", plain, `{"a":` + list(1000, "0") + `}`, ""},
		{"a longer one", plain, `{"a":` + list(1001, "0") + `}`, "a list of 1001 entries"},
		{"a longer one in a merge patch", merge, `{"a":` + list(1001, "0") + `}`, "a list of 1001 entries"},
		{"a longer one in a list", plain, `[[` + list(1001, "{}") + `]]`, "a list of 1001 entries"},
		{"a list that does not end", plain, `{"a":[` + strings.Repeat("0,", 2000), "a list of 2001 entries"},
		{"a patch", patch, list(500, op), ""},
		{"a patch of many operations", patch, list(501, op), "501 operations, more than the maximum of 500"},
		{"a patch of operations on a long list", patch, `[{"op":"add","path":"/a","value":"` + strings.Repeat("x", 100<<10) + `"},` + list(400, op)[1:], "the product of both"},
		{"a large patch of few operations", patch, `[{"op":"add","path":"/a","value":"` + strings.Repeat("x", 1<<20) + `"}]`, ""},
		{"a strategic patch", strict, `{"a":"` + strings.Repeat("x", 200<<10) + `"}`, ""},
		{"a large strategic patch", strict, `{"a":"` + strings.Repeat("x", 256<<10) + `"}`, "more than the maximum of 262144"},
		{"an apply patch", apply, "a: {b: [c]}\n", ""},
		{"an apply patch in JSON", apply, `{"a":` + list(1000, "0") + `}`, ""},
		{"a long list in an apply patch in JSON", apply, ` {"a":` + list(1001, "0") + `}`, "a list of 1001 entries"},
		{"a long list in YAML", asYAML, "a:\n" + strings.Repeat("- b\n", 1001), "a list of 1001 entries"},
		{"a YAML bomb", asYAML, bomb, "contains a reference"},
		{"a YAML bomb in an apply patch", apply, bomb, "contains a reference"},
		{"a YAML bomb in braces", apply, `{a: &a [x], b: *a}`, "contains a reference"},
		{"a wildcard that is no reference", asYAML, "a: \"*.example.com & others\"\n", ""},
		{"what is not YAML", asYAML, "a: [", ""},
		{"protobuf", "application/vnd.kubernetes.protobuf", list(2000, "0"), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, weight := check(test.mediaType, []byte(test.body))
			if (got == "") != (test.refusal == "") || !strings.Contains(got, test.refusal) {
				t.Errorf("got %q, want %q", got, test.refusal)
			}
			if weight < int64(len(test.body)) {
				t.Errorf("weighs %d", weight)
			}
		})
	}
}

// The checks themselves are cheap, whatever comes.
func TestCheckCost(t *testing.T) {
	for name, body := range map[string]string{
		"lists": list(1<<18, "0"), "deep lists": strings.Repeat("[", 1<<20), "deep objects": strings.Repeat(`{"a":`, 1<<17),
		"strings": list(1<<17, `"aaaa"`), "objects": list(1<<17, "{}"), "closed": strings.Repeat("]", 1<<20), "quotes": strings.Repeat(`"`, 1<<20),
	} {
		for _, mediaType := range []string{"application/json", "application/json-patch+json"} {
			if got := allocated(func() { check(mediaType, []byte(body)) }); got > uint64(64*len(body)) {
				t.Errorf("%s as %s: %d bytes for one of %d", name, mediaType, got, len(body))
			}
		}
	}
	for name, body := range map[string]string{
		"lists": "a: " + list(1<<16, "0"), "blocks": strings.Repeat("- b\n", 1<<16), "keys": strings.Repeat("a: b\n", 1<<16), "deep": strings.Repeat("[", 9000),
		"anchors": strings.Repeat("- &a b\n", 1<<15), "references": "- &a b\n" + strings.Repeat("- *a\n", 1<<15),
	} {
		if got := allocated(func() { check("application/yaml", []byte(body)) }); got > uint64(600*len(body)) {
			t.Errorf("%s as YAML: %d bytes for one of %d", name, got, len(body))
		}
	}
}

func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestBodyLimits(t *testing.T) {
	want := map[string]int64{"accounts": 65536, "remoteendpoints": 65536, "serviceprefixes": 65536, "gwroutes": 524288, "gatewaynodes": 1048576, "gwendpointslices": 1048576, "lbservicegroups": 1048576, "loadbalancers": 1572864, "gwproxies": 1572864, "epics": 1572864, "whatever": 1572864}
	got := map[string]int64{}
	for r := range want {
		got[r] = bodyLimit(r)
	}
	if !reflect.DeepEqual(got, want) {
		t.Error(fmt.Sprint(got))
	}
}
