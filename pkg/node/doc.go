// SPDX-License-Identifier: Apache-2.0

// Package node is the node program: it joins the API, the data plane, the control
// protocol and the host's network on one node. Gateway is its role on a gateway node,
// Client that on a client node. Each of the packages below does one part and knows
// nothing of the others; here they are wired together, in the order in which a start
// loses no packet:
//
//  1. what an earlier program left in the kernel keeps working;
//  2. the last state on disk is applied, and the control protocol answers;
//  3. the API is followed; what it no longer has goes;
//  4. only when everything that is wanted is applied, leftovers are removed, and from then
//     on what somebody removes is restored.
//
// When the program ends, everything that it made stays. It runs no shell command.
package node
