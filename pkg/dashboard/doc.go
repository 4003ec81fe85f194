// SPDX-License-Identifier: Apache-2.0

// Package dashboard serves an overview of an installation to the user's browser, on
// 127.0.0.1.
//
// The pages are rendered on the server and work without JavaScript. A small script
// replaces the parts of a page that have changed when the server reports a change with
// Server-Sent Events.
//
// Every user of the machine can connect to 127.0.0.1, and any web page can make a browser
// do so. Two random values protect the dashboard: the first part of every path, and a
// cookie that the browser only sends to that path. See guard.go.
package dashboard
