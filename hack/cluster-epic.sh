#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The cluster of hack/cluster.sh with EPIC installed in it, for somebody who
# develops EPIC. Run again, it brings the images as they are now into the cluster
# that is there. It wants what "make build images" builds.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

kubeconfig=$(hack/cluster.sh kubeconfig)
running=1
if ! bin/kubectl --kubeconfig "$kubeconfig" --request-timeout=5s get --raw /readyz >/dev/null 2>&1; then
	running=
	hack/cluster.sh up >/dev/null
fi
export KUBECONFIG=$kubeconfig

hack/cluster.sh load bin/images/*.tar
hack/install.sh
if [[ $running ]]; then
	# The images' tag is the same as before: the pods don't know that it is another.
	bin/kubectl --namespace epic-system rollout restart deployment
	bin/kubectl --namespace epic-system rollout status deployment
fi

cat <<TEXT

EPIC is installed in a Kubernetes cluster on this machine. To use it:

  export KUBECONFIG=$KUBECONFIG PATH=$PWD/bin:\$PATH
  epicctl status
  epicctl create account root --admin-user jane
  kubectl apply -f artifacts/samples/40-lbservicegroup.yaml -f artifacts/samples/50-loadbalancer.yaml
  kubectl --as jane -n epic-root get loadbalancers.epic.acnodal.io
  epicctl describe account root

"make cluster" again brings your changes into it, "make cluster-down" ends it. Its
logs are in $(dirname "$KUBECONFIG")/log.
TEXT
