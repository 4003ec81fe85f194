// SPDX-License-Identifier: Apache-2.0

// Package backup saves all data of a server to one file, and creates a new data directory
// from such a file.
//
// The file has etcd's snapshot format, so etcd's tools can read it too. The package only
// saves whole databases: it can neither select single objects nor restore into a running
// etcd.
//
// A Folder contains scheduled snapshots, of which it keeps the newest. A record in etcd
// contains the time of the last one, for the servers' metrics.
package backup
