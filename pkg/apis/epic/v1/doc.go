// SPDX-License-Identifier: Apache-2.0

// Package v1 is version 1 of the epic.acnodal.io API, in which clients send and receive
// EPIC's objects and in which the server stores them.
//
// The JSON names mix two styles for historical reasons: kebab-case (public-address) in the
// older kinds, and camelCase (clientRef) in the newer ones. Published clients depend on
// both, so neither can be changed.
//
// The OpenAPI model names are the reversed path of the package, because the apply
// configurations look up types by that name regardless of the tag below.
//
// +k8s:deepcopy-gen=package
// +k8s:conversion-gen=github.com/acnodal/epic/pkg/apis/epic
// +k8s:defaulter-gen=TypeMeta
// +k8s:openapi-gen=true
// +k8s:openapi-model-package=com.github.acnodal.epic.pkg.apis.epic.v1
// +k8s:protobuf-gen=package
// +groupName=epic.acnodal.io
package v1
