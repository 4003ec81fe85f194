// SPDX-License-Identifier: Apache-2.0

// Package model defines what happens to each packet that enters the data plane. It
// follows docs/dataplane.md and the standards that it names, and shares no code with the
// programs. Tests run the programs in the kernel and compare.
//
// A packet has one fate: it passes unchanged, is sent into a tunnel, is received from
// one, is answered, is sent in fragments, or is dropped for one reason.
package model
