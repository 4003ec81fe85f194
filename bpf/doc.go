// SPDX-License-Identifier: Apache-2.0

// Package bpf contains the programs of the data plane: their C sources, the compiled object,
// and the Go types of the maps' keys and values, which are generated from the C types.
// pkg/dataplane loads the programs.
//
// hack/update-bpf.sh generates the files.
package bpf
