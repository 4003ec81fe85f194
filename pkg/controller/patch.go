// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"encoding/json"
	"fmt"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/jsonmergepatch"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// document is the input of a status patch.
type document struct {
	Metadata struct {
		UID             types.UID `json:"uid,omitempty"`
		ResourceVersion string    `json:"resourceVersion,omitempty"`
	} `json:"metadata"`
	Status *epicv1.ProxyStatus `json:"status"`
}

// statusPatch returns a merge patch from one status to another, or nil if they are equal.
// It only contains differences, so it changes no other fields, known or unknown. It
// applies only to the observed object and version: if another writer changed the tunnels
// in the meantime, a pair could lose the ID that it just got.
func statusPatch(meta *metav1.ObjectMeta, from, to *epicv1.ProxyStatus) ([]byte, error) {
	if apiequality.Semantic.DeepEqual(from, to) {
		return nil, nil
	}
	before, after := document{Status: from}, document{Status: to}
	after.Metadata.UID, after.Metadata.ResourceVersion = meta.UID, meta.ResourceVersion
	original, err := json.Marshal(before)
	if err != nil {
		return nil, fmt.Errorf("encode the current status: %w", err)
	}
	modified, err := json.Marshal(after)
	if err != nil {
		return nil, fmt.Errorf("encode the desired status: %w", err)
	}
	data, err := jsonmergepatch.CreateThreeWayJSONMergePatch(original, modified, original)
	if err != nil {
		return nil, fmt.Errorf("compare the current status with the desired one: %w", err)
	}
	return data, nil
}
