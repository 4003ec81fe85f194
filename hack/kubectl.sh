#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds kubectl from its Go module, with the version of Kubernetes that the module
# belongs to: without one, "kubectl version" can't compare itself with a server and
# fails. The argument is the path of the program; GOFLAGS apply.

set -euo pipefail
[[ $# -eq 1 ]] || {
	echo "usage: hack/kubectl.sh FILE" >&2
	exit 2
}
target=$(realpath -m -- "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/tools/kubectl"

# Its modules are numbered v0.MINOR.PATCH for Kubernetes v1.MINOR.PATCH.
module=$(go list -m -f '{{.Version}}' k8s.io/kubectl)
[[ $module =~ ^v0\.([0-9]+)\.[0-9]+ ]] || {
	echo "hack/kubectl.sh: $module is not a version of k8s.io/kubectl that names one of Kubernetes" >&2
	exit 1
}
v=k8s.io/component-base/version
CGO_ENABLED=0 go build -ldflags \
	"-X $v.gitVersion=v1.${module#v0.} -X $v.gitMajor=1 -X $v.gitMinor=${BASH_REMATCH[1]}" -o "$target" .
