// SPDX-License-Identifier: Apache-2.0

// Package dashboard serves an overview of an installation to the browser of the person
// who runs it, on 127.0.0.1.
//
// The pages are rendered here and work without JavaScript. A small script replaces the
// parts of a page that have changed when the server says by Server-Sent Events that there
// is something new.
//
// Everybody on the machine can connect to 127.0.0.1, and any web page can have a browser
// do so. Two random values keep them out: one is the first part of every path, the other
// a cookie that the browser sends to that path only. See guard.go.
package dashboard
