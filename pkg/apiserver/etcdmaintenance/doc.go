// SPDX-License-Identifier: Apache-2.0

// Package etcdmaintenance returns space to an etcd cluster whose database has grown:
// it forgets old revisions, defragments one member after the other, and disarms the
// alarm with which a full etcd refuses writes.
package etcdmaintenance
