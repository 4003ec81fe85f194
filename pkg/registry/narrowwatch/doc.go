// SPDX-License-Identifier: Apache-2.0

// Package narrowwatch lets a watch of few objects among many begin at the cost of
// those few. The watch cache of k8s.io/apiserver goes through all objects of a
// kind to find those with which a watch begins, also for a watch of one namespace
// or by an indexed field, for which it has a list at hand that goes through none
// but these. Here such a watch is that list, and then the cache's own watch from
// the version of the list on.
//
// It keeps no objects and no watches of its own.
package narrowwatch
