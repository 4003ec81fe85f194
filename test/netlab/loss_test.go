// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"context"
	"testing"
	"time"
)

// Losses by a device reach what comes and goes by it, and nothing else, also when two are made at
// once. Each ends by itself.
func TestLoseByDevice(t *testing.T) {
	lab := Test(t)
	names := map[string]*Namespace{}
	for _, name := range []string{"router", "a", "b", "c"} {
		n, err := lab.Namespace(name)
		if err != nil {
			t.Fatal(err)
		}
		names[name] = n
	}
	router := names["router"]
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(router.Forward())
	addresses := map[string]string{"a": "10.0.1", "b": "10.0.2", "c": "10.0.3"}
	for name, prefix := range addresses {
		must(Veth(names[name], "eth0", router, name, 1500))
		must(names[name].Addr("eth0", prefix+".2/24"))
		must(router.Addr(name, prefix+".1/24"))
		must(names[name].Route("0.0.0.0/0", prefix+".1", ""))
		listener, err := names[name].Listen(t.Context(), "tcp", ":80")
		must(err)
		defer listener.Close()
	}
	reaches := func(from, to string, want bool) {
		t.Helper()
		patience := time.Minute
		if !want {
			patience = 300 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		conn, err := names[from].Dial(ctx, "tcp", addresses[to]+".2:80")
		if err == nil {
			conn.Close()
		}
		if (err == nil) != want {
			t.Errorf("%s to %s: %v", from, to, err)
		}
	}
	endA, err := router.Lose(100, "a")
	must(err)
	endB, err := router.Lose(100, "b")
	must(err)
	reaches("a", "c", false)
	reaches("c", "a", false)
	reaches("b", "c", false)
	lost, err := endA()
	must(err)
	if lost < 2 {
		t.Errorf("%d packets were lost", lost)
	}
	reaches("a", "c", true)
	reaches("c", "a", true)
	reaches("c", "b", false)
	_, err = endB()
	must(err)
	reaches("c", "b", true)
}
