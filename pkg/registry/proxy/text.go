// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// few is the maximum number of values in a table cell.
const few = 3

// Few lists the first values, followed by the number of those omitted.
func Few(values []string) string {
	if len(values) <= few {
		return strings.Join(values, ",")
	}
	return fmt.Sprintf("%s + %d more...", strings.Join(values[:few], ","), len(values)-few)
}

// Ports returns the distinct ports with their protocols: several listeners may share one.
func Ports(ports []epic.ServicePort) string {
	out := make([]string, 0, len(ports))
	for _, p := range ports {
		if text := fmt.Sprintf("%d/%s", p.Port, p.Protocol); !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return Few(out)
}

// Envoys returns the number of ready Envoys and the desired number, or "" if the operator
// has not observed the object yet.
func Envoys(status *epic.ProxyStatus) string {
	if status.Envoy == nil {
		return ""
	}
	return fmt.Sprintf("%d/%d", status.Envoy.ReadyReplicas, status.Envoy.Replicas)
}

// Listeners returns how many listeners of a gateway proxy the Envoys serve, and the total
// number of listeners, or "" if the operator has not observed the object yet.
func Listeners(status *epic.ProxyStatus) string {
	if status.Envoy == nil {
		return ""
	}
	served := 0
	for _, l := range status.Listeners {
		if meta.IsStatusConditionTrue(l.Conditions, "Programmed") {
			served++
		}
	}
	return fmt.Sprintf("%d/%d", served, len(status.Listeners))
}

// AttachedRoutes returns the number of attachments of routes to listeners of a gateway
// proxy: a route that is attached to two of them counts twice.
func AttachedRoutes(status *epic.ProxyStatus) int64 {
	var n int64
	for _, l := range status.Listeners {
		n += int64(l.AttachedRoutes)
	}
	return n
}
