// SPDX-License-Identifier: Apache-2.0

// Package install holds the manifests that a client cluster gets, so a program can
// print what these folders install.
package install

import "embed"

// ClientCluster has the folders connector, node-client and monitoring-client: kustomizations
// with their resources, of which the first contains the second.
//
//go:embed connector/*.yaml node-client/*.yaml node-client/account.env monitoring-client/*.yaml
var ClientCluster embed.FS
