// SPDX-License-Identifier: Apache-2.0

// Package docs tests README.md and the pages of docs: it runs every command as it is
// written, has the server check every manifest, follows the links, and compares the
// reference with the code.
//
// The language of a fenced block says who runs it:
//
//	sh           next to a server of "make run", in the order of the page
//	sh world     the same, where "sudo make run" has made its network namespaces
//	sh netns     by root, in an empty network namespace
//	sh help      nobody: its command and flags are checked
//	sh make      nobody: its lines are targets of the Makefile
//	yaml         nobody: its manifests are applied in a server's dry run
//	(none)       in docs/install.md: hack/install.sh, for the end-to-end tests
//	text, conf   nobody: it has no commands
//
// Any other block fails the tests, and so does one whose test is gone.
package docs
