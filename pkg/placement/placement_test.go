// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// pods answers for all pods.
type pods struct{ err error }

func (p pods) Check(context.Context, Object, string, netip.Addr) error { return p.err }

func TestCheck(t *testing.T) {
	listed := map[string]string{"here": "192.0.2.1", "there": "192.0.2.2"}
	busy := errors.New("busy")
	for name, test := range map[string]struct {
		checker     *Checker
		proxy, node string
		// err is part of the error, or empty.
		err     string
		unknown bool
	}{
		"listed":                        {&Checker{}, "here", "192.0.2.1", "", false},
		"listed elsewhere":              {&Checker{}, "there", "192.0.2.1", "lists the proxy on node 192.0.2.2", false},
		"not listed":                    {&Checker{}, "other", "192.0.2.1", "does not list the proxy", false},
		"no checker":                    {nil, "other", "192.0.2.1", "does not list the proxy", false},
		"no address":                    {&Checker{}, "here", "", "not the address", false},
		"a pod":                         {&Checker{Pods: pods{}}, "other", "192.0.2.1", "", false},
		"no such pod":                   {&Checker{Pods: pods{NotThere("no pod")}}, "other", "192.0.2.1", "no pod", false},
		"pods are not known":            {&Checker{Pods: pods{busy}}, "other", "192.0.2.1", "busy", true},
		"the list counts and not a pod": {&Checker{Pods: pods{}}, "there", "192.0.2.1", "lists the proxy on node", false},
	} {
		err := test.checker.Check(t.Context(), Object{}, listed, test.proxy, test.node)
		switch {
		case test.err == "":
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		case err == nil || !strings.Contains(err.Error(), test.err) || IsNotThere(err) == test.unknown:
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRuns(t *testing.T) {
	listed := map[string]string{"here": "192.0.2.1", "there": "192.0.2.2"}
	busy := errors.New("busy")
	for name, test := range map[string]struct {
		pods    Pods
		proxies []string
		want    bool
		err     error
	}{
		"none":                    {pods{}, nil, false, nil},
		"one of two":              {nil, []string{"there", "here"}, true, nil},
		"none of two":             {nil, []string{"there", "other"}, false, nil},
		"unknown":                 {pods{busy}, []string{"there", "other"}, false, busy},
		"one known among unknown": {pods{busy}, []string{"other", "here"}, true, nil},
	} {
		got, err := (&Checker{Pods: test.pods}).Runs(t.Context(), Object{}, listed, test.proxies, "192.0.2.1")
		if got != test.want || !errors.Is(err, test.err) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}
