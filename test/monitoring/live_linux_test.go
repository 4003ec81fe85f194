// SPDX-License-Identifier: Apache-2.0

//go:build alerts

package monitoring

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestAlertsFire runs all of EPIC with a Prometheus that has the scrape jobs and the rules that
// ship. While all is well nothing fires, and every query of the dashboards has an answer. Then one
// thing after the other goes wrong: its alert fires, and clears when it is repaired.
func TestAlertsFire(t *testing.T) {
	if testing.Short() {
		t.Skip("starts all programs; not with -short")
	}
	began := time.Now()
	s := newSite(t)
	s.allUp()
	t.Logf("everything runs after %s", time.Since(began).Round(time.Second))
	t.Run("well", func(t *testing.T) {
		t.Run("dashboards", func(t *testing.T) {
			t.Parallel()
			s.of(t).dashboards()
		})
		t.Run(atFirst.what, func(t *testing.T) {
			t.Parallel()
			s.of(t).has(&atFirst)
		})
	})
	s.quiet("nothing fires while all is well")
	for i, faults := range phases {
		t.Run(fmt.Sprintf("phase %d", i+1), func(t *testing.T) {
			for _, f := range faults {
				t.Run(f.what, func(t *testing.T) {
					t.Parallel()
					s.of(t).has(&f)
				})
			}
		})
	}
	s.allUp()
	s.quiet("nothing fires when all is repaired")
}

// has lets a fault happen, and wants its alerts to fire until it is repaired.
func (s *site) has(f *fault) {
	s.Helper()
	began := time.Now()
	during, repair := f.cause(s)
	seen := map[string]bool{}
	deadline := time.Now().Add(patience)
	var problem error
	for len(seen) < len(f.alerts) && time.Now().Before(deadline) {
		if during != nil {
			during(s)
		}
		var now map[string]int
		now, problem = s.firing()
		for _, alert := range f.alerts {
			if now[alert] > 0 && !seen[alert] {
				seen[alert] = true
				s.Logf("%s fires after %s", alert, time.Since(began).Round(time.Second))
			}
		}
		time.Sleep(300 * time.Millisecond)
	}
	mended := time.Now()
	if repair != nil {
		repair(s)
	}
	var missing []string
	for _, alert := range f.alerts {
		if !seen[alert] {
			missing = append(missing, alert)
		}
	}
	if len(missing) > 0 {
		s.Fatal(errors.Join(fmt.Errorf("%s does not fire within %s while %s", strings.Join(missing, ", "), patience, f.what), problem))
	}
	s.quiet("after it was mended that "+f.what, f.alerts...)
	s.Logf("mended and clear after %s more", time.Since(mended).Round(time.Second))
}
