#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The master keys of an installation's tunnels: the Secret epic-tunnel-keys in the
# namespace epic-system, which the servers read again within two minutes of a
# change. All state is in the cluster; it needs kubectl and openssl.
#
#   hack/tunnel-keys.sh           makes a first key if there is none
#   hack/tunnel-keys.sh rotate    goes one step from the present key to a new one
#
# A rotation has three steps, with ten minutes or more between them, so no
# node meets a key that it does not know: 1. a new key is accepted, 2. the new key
# is used, 3. the old key is forgotten. Which is next shows in the Secret.

set -euo pipefail

namespace=epic-system
secret=epic-tunnel-keys
kubectl=${KUBECTL:-kubectl}
umask 077

case ${1:-create} in
create | rotate) ;;
*)
	echo "usage: $0 [create|rotate]" >&2
	exit 2
	;;
esac

# The keys go through pipes and standard input, where no other user sees them.
store() {
	$kubectl create secret generic "$secret" --namespace "$namespace" --dry-run=client --output=yaml --from-file=keys=/dev/stdin |
		$kubectl apply --server-side --force-conflicts --field-manager=epic-tunnel-keys --filename=- >/dev/null
}

new_key() { echo "$1 $(openssl rand -base64 32)"; }

# An error that is not "there is none" must not lead to another key.
found=$($kubectl get secret "$secret" --namespace "$namespace" --ignore-not-found --output=name)
if [[ -z $found ]]; then
	# Not store: of two that do this at once, one must fail.
	new_key 1 | $kubectl create secret generic "$secret" --namespace "$namespace" --from-file=keys=/dev/stdin >/dev/null
	echo "secret/$secret: a first key"
	exit
fi
if [[ ${1:-create} == create ]]; then
	echo "secret/$secret"
	exit
fi

keys=$($kubectl get secret "$secret" --namespace "$namespace" --output='go-template={{index .data "keys"}}' | base64 -d)
mapfile -t lines < <(grep -v -e '^[[:space:]]*#' -e '^[[:space:]]*$' <<<"$keys")
id() { awk '{print $1}' <<<"$1"; }

# IDs go from 1 to 255 and begin again.
case ${#lines[@]} in
1)
	next=$(($(id "${lines[0]}") % 255 + 1))
	{ echo "${lines[0]}"; new_key "$next"; } | store
	echo "secret/$secret: step 1 of 3: all nodes accept key $next. Run this script again after ten minutes."
	;;
2)
	first=$(id "${lines[0]}") second=$(id "${lines[1]}")
	if ((second == first % 255 + 1)); then
		printf '%s\n' "${lines[1]}" "${lines[0]}" | store
		echo "secret/$secret: step 2 of 3: key $second is in use. Run this script again after ten minutes."
	else
		echo "${lines[0]}" | store
		echo "secret/$secret: step 3 of 3: key $second is removed."
	fi
	;;
*)
	echo "The Secret $secret has ${#lines[@]} keys, but this script replaces one key with another. Remove the keys that are not in use from the Secret." >&2
	exit 1
	;;
esac
