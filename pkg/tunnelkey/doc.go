// SPDX-License-Identifier: Apache-2.0

// Package tunnelkey makes the key of each tunnel from a few master keys, and
// reads those from a file.
//
// The two ends of a tunnel prove to each other with its key that their control
// messages are genuine. A key follows from a master key, the UID of the object
// that has the tunnel, and the tunnel's ID, so nothing has to store it; an
// object that is made again under its old name has other keys. Master keys have
// IDs and there may be several, so they can be replaced while tunnels are in
// use.
//
// The package does not decide which identity may have which key.
package tunnelkey
