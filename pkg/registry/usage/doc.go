// SPDX-License-Identifier: Apache-2.0

// Package usage limits what one object and one account may store.
//
// A Tracker follows the watch caches of all kinds and tracks the number and the size of
// each account's objects. Rules wraps the rules of a kind and refuses a write that would
// take an account beyond its limits. The tracker lags behind the database by the delay of
// a watch, so concurrent writers, on one or several servers, may exceed a limit by as
// many objects as they write within that delay.
package usage
