#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# EPIC in a cluster of kind, for those who have Docker, and the end-to-end tests
# against it; arguments go to "go test". The cluster stays, with EPIC in it; "kind
# delete cluster --name epic" ends it. KIND_CLUSTER names another one.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

name=${KIND_CLUSTER:-epic}
for command in kind docker; do
	command -v "$command" >/dev/null || { echo "$command is missing." >&2; exit 1; }
done

mkdir -p .epic
if ! kind get clusters | grep -qx "$name"; then
	# Its kubeconfig is kept apart from the developer's own.
	kind create cluster --name "$name" --kubeconfig .epic/kind.kubeconfig --config=- <<-YAML
		kind: Cluster
		apiVersion: kind.x-k8s.io/v1alpha4
		nodes: [{role: control-plane}, {role: worker}, {role: worker}]
	YAML
fi
kind get kubeconfig --name "$name" >.epic/kind.kubeconfig

# The tests build the images, bring them to the nodes and install EPIC.
export KUBECONFIG=$PWD/.epic/kind.kubeconfig
export EPIC_E2E_LOAD="kind load image-archive --name $name"
exec test/e2e/run.sh "$@"
