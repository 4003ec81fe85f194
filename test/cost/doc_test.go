// SPDX-License-Identifier: Apache-2.0

// Package cost bounds the memory that one request may take between its body and
// its refusal or acceptance: decoding, defaulting and validation of all kinds,
// for bodies that were made to be expensive.
//
// It counts allocated bytes, which are the same on a busy machine, and compares
// bodies of two sizes: a path whose cost grows faster than the body fails.
package cost
