// SPDX-License-Identifier: Apache-2.0

// Package requestbounds limits the memory and CPU that the body of one request, and the
// bodies of all requests together, can use before the server processes their contents.
//
// Decoding an object takes up to some hundred times the memory of its body, and some types
// of patches take time that grows with the square of a list's length. Therefore each
// resource has a limit on the bytes of a body, lists have a limit on their length, patches
// with many operations have a lower limit, and the total bytes of large bodies that are
// processed at the same time are limited: further requests wait.
package requestbounds
