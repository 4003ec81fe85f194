// SPDX-License-Identifier: Apache-2.0

package requestbounds

import (
	"bytes"
	"fmt"
	"strings"

	goyaml "go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/types"

	"github.com/acnodal/epic/pkg/apis/epic"
)

const (
	// maxList is the maximum length of a list in a valid object: the endpoints of a
	// slice.
	maxList = 1000
	// maxOperations limits the operations of a JSON patch, and maxPatchWork the product
	// of its operations and its bytes, because each operation may copy a list that the
	// patch itself has created.
	maxOperations = 500
	maxPatchWork  = 32 << 20
	// maxStrategic limits the bytes of a strategic merge patch, which compares each entry
	// of a list with all others.
	maxStrategic = 256 << 10
	// yamlWeight is the memory cost of a YAML body relative to a JSON body.
	yamlWeight = 4
)

// MaxBody is the maximum size in bytes of the body of a request for any resource. It is
// the maximum that etcd accepts.
const MaxBody = 1536 << 10

// bodies holds the limits of resources with small objects.
var bodies = map[string]int64{
	epic.ResourceAccounts:         64 << 10,
	epic.ResourceServicePrefixes:  64 << 10,
	epic.ResourceRemoteEndpoints:  64 << 10,
	epic.ResourceGWRoutes:         512 << 10,
	epic.ResourceGatewayNodes:     1 << 20,
	epic.ResourceGWEndpointSlices: 1 << 20,
	epic.ResourceLBServiceGroups:  1 << 20,
}

// bodyLimit returns the maximum size in bytes of the body of a request for a resource.
func bodyLimit(resource string) int64 {
	if n, ok := bodies[resource]; ok {
		return n
	}
	return MaxBody
}

// check checks a body of a media type. It returns the reason if the body is rejected,
// otherwise "", and the weight of the body.
func check(mediaType string, body []byte) (refusal string, weight int64) {
	weight = int64(len(body))
	switch {
	case strings.HasSuffix(mediaType, "yaml"):
		return checkYAML(body), weight * yamlWeight
	case !strings.HasSuffix(mediaType, "json"):
		return "", weight
	}
	s := scan(body)
	switch {
	case mediaType == string(types.JSONPatchType) && s.top > maxOperations:
		return fmt.Sprintf("the JSON patch has %d operations, more than the maximum of %d: send several patches, or a merge patch", s.top, maxOperations), weight
	case mediaType == string(types.JSONPatchType) && int64(s.top)*weight > maxPatchWork:
		return fmt.Sprintf("the JSON patch has %d operations in %d bytes, and the product of both may be at most %d: send several patches, or a merge patch", s.top, weight, maxPatchWork), weight
	case mediaType == string(types.StrategicMergePatchType) && weight > maxStrategic:
		return fmt.Sprintf("the strategic merge patch has %d bytes, more than the maximum of %d: send several patches, or a merge patch", weight, maxStrategic), weight
	case s.longest > maxList:
		return tooLong(s.longest), weight
	}
	return "", weight
}

func tooLong(n int) string {
	return fmt.Sprintf("the body has a list of %d entries, more than the maximum of %d: remove some, or use several objects", n, maxList)
}

// checkYAML rejects long lists, and aliases, by which a few bytes can expand to many
// values. It accepts a document that does not parse, which the decoder rejects.
func checkYAML(body []byte) string {
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '{' && !bytes.ContainsAny(body, "&*") {
		// JSON is a subset of YAML, and most apply patches are JSON.
		if s := scan(body); s.longest > maxList {
			return tooLong(s.longest)
		}
		return ""
	}
	var document goyaml.Node
	if err := goyaml.Unmarshal(body, &document); err != nil {
		return ""
	}
	return checkNode(&document)
}

func checkNode(n *goyaml.Node) string {
	switch {
	case n.Kind == goyaml.AliasNode:
		return "the YAML contains a reference (*name): write the referenced part where it is used"
	case n.Kind == goyaml.SequenceNode && len(n.Content) > maxList:
		return tooLong(len(n.Content))
	}
	for _, child := range n.Content {
		if refusal := checkNode(child); refusal != "" {
			return refusal
		}
	}
	return ""
}
