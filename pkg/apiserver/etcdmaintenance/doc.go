// SPDX-License-Identifier: Apache-2.0

// Package etcdmaintenance reclaims space in an etcd cluster whose database has grown: it
// compacts old revisions, defragments one member after the other, and disarms the alarm
// with which a full etcd rejects writes.
package etcdmaintenance
