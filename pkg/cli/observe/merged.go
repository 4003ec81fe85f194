// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Merged gathers from several registries. If several have the same metric, the first one
// is used.
type Merged []prometheus.Gatherer

// Gather implements prometheus.Gatherer.
func (m Merged) Gather() ([]*dto.MetricFamily, error) {
	var all []*dto.MetricFamily
	var errs []error
	seen := map[string]bool{}
	for _, g := range m {
		families, err := g.Gather()
		errs = append(errs, err)
		for _, f := range families {
			if !seen[f.GetName()] {
				seen[f.GetName()] = true
				all = append(all, f)
			}
		}
	}
	return all, errors.Join(errs...)
}
