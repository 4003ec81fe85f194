#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# hack/install.sh [HEADING] runs the commands that docs/install.md gives under a
# heading, "Install" if none is named, as they are written there: what is
# documented is what "make cluster" and the tests do. KUBECONFIG selects the cluster.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

heading=${1:-Install}
commands=$(awk -v heading="$heading" '
	/^```/ { block = block ? 0 : $0 == "```" ? 1 : 2; next }
	!block && /^#+ / { sub(/^#+ /, ""); inside = $0 == heading }
	inside && block == 1' docs/install.md)
[[ -n $commands ]] || { echo "docs/install.md contains no commands under \"$heading\"." >&2; exit 1; }

# The kubectl of "make build", unless $KUBECTL names another.
if [[ -n ${KUBECTL:-} ]]; then
	PATH=$(dirname "$(realpath "$KUBECTL")"):$PATH
elif [[ -x bin/kubectl ]]; then
	PATH=$PWD/bin:$PATH
fi
export PATH
exec bash -euo pipefail -x -c "$commands"
