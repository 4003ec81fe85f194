#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# EPIC in a cluster of kind, for those who have Docker, and the end-to-end tests
# against it. The cluster stays; "kind delete cluster --name epic" ends it.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

name=${KIND_CLUSTER:-epic}
for command in kind docker; do
	command -v "$command" >/dev/null || { echo "$command is missing." >&2; exit 1; }
done

if ! kind get clusters | grep -qx "$name"; then
	kind create cluster --name "$name" --config=- <<-YAML
		kind: Cluster
		apiVersion: kind.x-k8s.io/v1alpha4
		nodes: [{role: control-plane}, {role: worker}, {role: worker}]
	YAML
fi
mkdir -p .epic
kind get kubeconfig --name "$name" >.epic/kind.kubeconfig

hack/images.sh
for image in bin/images/*.tar; do kind load image-archive --name "$name" "$image"; done
KUBECONFIG=$PWD/.epic/kind.kubeconfig test/e2e/run.sh "$@"
