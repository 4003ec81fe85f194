// SPDX-License-Identifier: Apache-2.0

// Package claims guarantees uniqueness and dependencies by construction.
//
// An object owns claims: one key for each tunnel ID, address, service or group ID, quota
// slot, and parent. A pure function (Rules) computes them from the object. Every write of
// an object is one etcd transaction that writes the object and adds and removes the claims
// that change, provided that the object is unchanged, that each added claim is free, that
// everything the write depended on still holds and, on deletion, that nothing depends on
// the object. Therefore no crash can separate an object from its claims, and no repair is
// needed.
//
// The package is placed between k8s.io/apiserver's watch cache and its etcd store: Store
// wraps storage.Interface, and stores the claim difference of the write in the context;
// txnClient wraps the kubernetes.Interface of etcd's client, through which the etcd store
// writes, and turns that difference into the transaction. Numbers come from cursors of
// which each server reserves blocks (see allocator), so writers of different objects never
// wait for one another.
//
// It does not know EPIC's kinds: they are in the packages next to it, each with its Rules.
package claims
