// SPDX-License-Identifier: Apache-2.0

// Package connector holds the manifests of a client cluster's connector, so that a
// program can print what this folder installs.
package connector

import "embed"

// Files are the kustomization of this folder and its resources.
//
//go:embed *.yaml
var Files embed.FS
