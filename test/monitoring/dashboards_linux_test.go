// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/acnodal/epic/test/world"
)

// chosen is what the reader of a dashboard chooses where there are several values.
var chosen = map[string]string{"client-cluster.json nodes": "epic-node-client"}

// noSeries has the queries, by dashboard and panel, that have no answer while all is well, with
// the reason.
var noSeries = map[string]string{
	"platform.json: Rejected objects":       refusedObjects,
	"client-cluster.json: Rejected objects": refusedObjects,
}

const refusedObjects = "a kind has a series once EPIC has refused an object of it; EpicObjectsRefused fires by it"

// dashboards checks that Prometheus returns data for each query of each dashboard.
func (s *site) dashboards() {
	s.Helper()
	open, missed := map[string]string{}, map[string]bool{}
	for file, d := range readDashboards(s.T) {
		values := map[string]string{"__rate_interval": "10s"}
		for _, v := range d.Templating.List {
			if v.Type == "query" {
				values[v.Name] = s.choose(file, v.Name, substituted(v.Definition, values))
			}
		}
		for _, p := range d.Panels {
			for _, q := range p.Targets {
				if name := file + ": " + p.Title; noSeries[name] != "" {
					missed[name] = true
				} else {
					open[name+": "+q.RefID] = substituted(q.Expr, values)
				}
			}
		}
	}
	for name := range noSeries {
		if !missed[name] {
			s.Errorf("no dashboard has the panel %q", name)
		}
	}
	s.Logf("%d queries", len(open))
	s.balancer("changes", group)
	s.programmed("changes")
	number := int32(port)
	s.until("every query of the dashboards has an answer", func() error {
		// Envoys get changes all the time.
		number++
		s.endpoint("changes", world.NodeAddress, number)
		var errs []error
		for name, expr := range open {
			all, err := s.query(expr)
			if err == nil && len(all) > 0 {
				delete(open, name)
				continue
			}
			errs = append(errs, errors.Join(fmt.Errorf("%s: no series: %s", name, expr), err))
		}
		return errors.Join(errs...)
	})
	s.remove("changes")
}

// substituted puts the values of variables into a query.
func substituted(text string, values map[string]string) string {
	return regexp.MustCompile(`\$(\w+)`).ReplaceAllStringFunc(text, func(name string) string {
		if value, ok := values[name[1:]]; ok {
			return value
		}
		return name
	})
}

// choose returns the value that a reader finds for a variable.
func (s *site) choose(file, name, definition string) string {
	s.Helper()
	m := regexp.MustCompile(`^label_values\((.*), (\w+)\)$`).FindStringSubmatch(definition)
	if m == nil {
		s.Fatalf("%s: %s is %q", file, name, definition)
	}
	var values []string
	choice := chosen[file+" "+name]
	s.until(file+": the variable "+name, func() error {
		err := s.ask("label/"+m[2]+"/values", url.Values{"match[]": {m[1]}}, &values)
		if err == nil && (choice != "" && !slices.Contains(values, choice) || choice == "" && len(values) != 1) {
			err = fmt.Errorf("its values are %s", strings.Join(values, ", "))
		}
		return err
	})
	if choice == "" {
		choice = values[0]
	}
	return choice
}
