// SPDX-License-Identifier: Apache-2.0

// Package bpf holds the data plane's programs: C sources, the object that they
// compile to, and the Go types of the maps' keys and values, generated from the C
// ones. It loads nothing by itself; pkg/dataplane does.
//
// hack/update-bpf.sh makes the generated files.
package bpf
