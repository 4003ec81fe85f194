// SPDX-License-Identifier: Apache-2.0

// Package backup saves all data of a server to one file and makes a new data
// directory from such a file.
//
// The file is etcd's own snapshot format, so etcd's tools read it too. The
// package saves whole databases: it can neither pick single objects nor restore
// into an etcd that runs.
//
// A Folder has the snapshots that are taken by a schedule, of which it keeps the newest. A
// record in etcd says when the last one was taken, for the servers' metrics.
package backup
