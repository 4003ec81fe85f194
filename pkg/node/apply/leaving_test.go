// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/acnodal/epic/pkg/dataplane"
	"github.com/acnodal/epic/pkg/endpoints"
	"github.com/acnodal/epic/pkg/node/intent"
	"github.com/acnodal/epic/pkg/node/internal/fakeplane"
	"github.com/acnodal/epic/pkg/node/proxies"
)

// show is what a plane has, those that leave with a minus.
func show(plane *fakeplane.Plane) string {
	var out []string
	services, _ := plane.Services().List()
	for _, s := range services {
		sign := ""
		if s.Leaving {
			sign = "-"
		}
		out = append(out, fmt.Sprintf("%s%d:%s", sign, s.Tunnel, s.Endpoint))
	}
	return strings.Join(out, " ")
}

var planners = map[string]Planner{
	"client": ForClient(anywhere, 6080),
	"gateway": ForGateway(anywhere, func(k intent.Key) []proxies.Interface {
		return []proxies.Interface{{Index: int(k.Name[0])}}
	}, nobody),
}

// An endpoint that leaves keeps its open connections for its time, and not when its object
// is gone or is another one. Other objects with the same endpoint are not concerned.
func TestLeaving(t *testing.T) {
	for name, plan := range planners {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				plane := fakeplane.New()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				a := New(plane, &ends{open: map[uint32]uint8{}}, plan)
				go a.Run(ctx)
				set := func(i *intent.Intent, want string) {
					t.Helper()
					a.Set(i)
					wait(t, a)
					if got := show(plane); got != want {
						t.Errorf("got %q, want %q", got, want)
					}
				}
				set(intended("one", 5, "10.0.0.1:80", "10.0.0.2:80"), "5:10.0.0.1:80 5:10.0.0.2:80")
				set(intended("one", 5, "10.0.0.2:80"), "-5:10.0.0.1:80 5:10.0.0.2:80")
				// Another tenant's object registers the same endpoint.
				other := intended("two", 6, "10.0.0.1:80")
				other.Namespace = "epic-b"
				set(other, "-5:10.0.0.1:80 5:10.0.0.2:80 6:10.0.0.1:80")
				time.Sleep(endpoints.LeaveAfter / 2)
				set(intended("one", 5), "-5:10.0.0.1:80 -5:10.0.0.2:80 6:10.0.0.1:80")
				time.Sleep(endpoints.LeaveAfter / 2)
				synctest.Wait()
				if got := show(plane); got != "-5:10.0.0.2:80 6:10.0.0.1:80" {
					t.Errorf("after its time there is %q", got)
				}
				// Endpoints from before a restart leave too, for the rest of their time.
				state, _ := a.Get(intended("one", 5).Key)
				if n := len(state.Intent.Leaving); n != 1 {
					t.Errorf("%d leaving endpoints would be kept on disk", n)
				}
				// Another object of the same name.
				again := intended("one", 7)
				again.UID = types.UID("again")
				set(again, "6:10.0.0.1:80")
				set(intended("two", 8), "6:10.0.0.1:80")
				a.Delete(other.Key)
				wait(t, a)
				if got := show(plane); got != "" {
					t.Errorf("when the object is gone there is %q", got)
				}
			})
		})
	}
}

// When the maps are full, endpoints that leave make room for others.
func TestLeavingGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plane := fakeplane.New()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		a := New(plane, &ends{open: map[uint32]uint8{}}, planners["client"])
		go a.Run(ctx)
		a.Set(intended("one", 5, "10.0.0.1:80"))
		wait(t, a)
		a.Set(intended("one", 5))
		wait(t, a)
		if got := show(plane); got != "-5:10.0.0.1:80" {
			t.Fatalf("there is %q", got)
		}
		full := true
		plane.FailWith(func(call string) error {
			switch {
			case call == "services.delete":
				full = false
			case call == "services.put" && full:
				return dataplane.ErrMapFull
			}
			return nil
		})
		a.Set(intended("two", 6, "10.0.0.2:80"))
		time.Sleep(2 * firstRetry)
		synctest.Wait()
		if got := show(plane); got != "6:10.0.0.2:80" {
			t.Errorf("there is %q", got)
		}
	})
}
