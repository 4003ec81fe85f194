// SPDX-License-Identifier: Apache-2.0

// Package tunnelkey derives the key of each tunnel from a few master keys, and reads
// those from a file.
//
// The two ends of a tunnel use its key to prove to each other that their control messages
// are authentic. A key is derived from a master key, the UID of the object that has the
// tunnel, and the tunnel's ID, so nothing has to store it; an object that is recreated
// under the same name has other keys. Master keys have IDs and there may be several, so
// they can be replaced while tunnels are in use.
//
// The package does not decide which identity may have which key.
package tunnelkey
