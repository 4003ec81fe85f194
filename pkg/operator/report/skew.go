// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/envoy/version"
)

// skew returns the condition for Envoys that do not have the version that this release of
// EPIC is made for, or nil if there are none. They serve what they accept.
func skew(in *Input) *metav1.Condition {
	pods := map[version.Version][]string{}
	var versions []version.Version
	for _, pod := range in.State.Pods {
		if pod.Version.Differs() == 0 {
			continue
		}
		if pods[pod.Version] == nil {
			versions = append(versions, pod.Version)
		}
		pods[pod.Version] = append(pods[pod.Version], pod.Pod)
	}
	if len(versions) == 0 {
		return nil
	}
	slices.SortFunc(versions, version.Version.Compare)
	reason := ReasonNewerEnvoy
	if versions[0].Differs() < 0 {
		reason = ReasonOlderEnvoy
	}
	var told []string
	for _, v := range versions {
		names := pods[v]
		slices.Sort(names)
		more := ""
		if n := len(names) - 1; n > 0 {
			more = fmt.Sprintf(" and of %d more", n)
		}
		told = append(told, fmt.Sprintf("the Envoy of %s%s is version %s", names[0], more, v))
	}
	fix := "set --envoy of the operator to"
	if image := in.Progress.Image; image != "" {
		fix = fmt.Sprintf("the image is %q: set envoy-image of the service group, or of the EPIC object, to", image)
	}
	c := condition(ConditionEnvoyVersionSkew, metav1.ConditionTrue, reason,
		"This release of EPIC is built for Envoy %s, but %s. It serves what it accepts, and may reject or misinterpret the rest; %s Envoy %[1]s", version.Made, tell(told), fix)
	return &c
}
