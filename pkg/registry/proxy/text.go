// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// few is how many values a table's cell shows.
const few = 3

// Few lists the first values, and adds how many more there are.
func Few(values []string) string {
	if len(values) <= few {
		return strings.Join(values, ",")
	}
	return fmt.Sprintf("%s + %d more...", strings.Join(values[:few], ","), len(values)-few)
}

// Ports lists ports with their protocols, each once: several listeners may share
// one.
func Ports(ports []epic.ServicePort) string {
	out := make([]string, 0, len(ports))
	for _, p := range ports {
		if text := fmt.Sprintf("%d/%s", p.Port, p.Protocol); !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return Few(out)
}

// Envoys returns how many Envoys are ready, of how many there should be; nothing before
// the operator has seen the object.
func Envoys(status *epic.ProxyStatus) string {
	if status.Envoy == nil {
		return ""
	}
	return fmt.Sprintf("%d/%d", status.Envoy.ReadyReplicas, status.Envoy.Replicas)
}

// Listeners returns how many listeners of a gateway proxy the Envoys serve, of how many
// there are; nothing before the operator has seen the object.
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

// AttachedRoutes returns how many times routes are attached to listeners of a gateway
// proxy: a route that is attached to two of them counts twice.
func AttachedRoutes(status *epic.ProxyStatus) int64 {
	var n int64
	for _, l := range status.Listeners {
		n += int64(l.AttachedRoutes)
	}
	return n
}
