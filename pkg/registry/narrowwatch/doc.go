// SPDX-License-Identifier: Apache-2.0

// Package narrowwatch makes the start of a filtered watch cost only as much as the
// objects it returns. To find the initial objects of a watch, the watch cache of
// k8s.io/apiserver iterates over all objects of a kind, even for a watch of one namespace
// or by an indexed field, for which its lists use an index. Here, such a watch starts
// with a list, followed by the cache's own watch from the version of that list.
//
// The package keeps no objects and no watches of its own.
package narrowwatch
