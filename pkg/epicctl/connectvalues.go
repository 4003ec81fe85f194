// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// helmValues returns values for the chart epic-connector that make it install the same as
// connectorManifest.
func helmValues(in connectorInstall) ([]byte, error) {
	values := map[string]any{
		"account": in.account, "cluster": in.cluster, "group": in.group,
		"credential": map[string]any{"kubeconfig": string(in.kubeconfig), "expires": in.expires.UTC().Format(time.RFC3339)},
	}
	if in.monitoring {
		values["monitoring"] = map[string]any{"enabled": true}
	}
	for program, image := range map[string]string{"connector": in.image, "node": in.nodeImage} {
		if image != "" {
			values[program] = map[string]any{"image": helmImage(image)}
		}
	}
	return yaml.Marshal(values)
}

// helmImage splits the name of an image. A colon before the last slash belongs to a port.
func helmImage(image string) map[string]any {
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		return map[string]any{"repository": image[:i], "tag": image[i+1:]}
	}
	return map[string]any{"repository": image}
}
