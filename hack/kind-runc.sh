#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# runc for the dockerd of hack/kind.sh, on machines whose capabilities are bounded:
# a container gets those that there are, where runc would refuse one that asks for
# all of them.

set -euo pipefail

bounded=$(awk '/^CapBnd:/ { print $2 }' /proc/self/status)
arguments=("$@")
for ((i = 0; i < $#; i++)); do
	case ${arguments[i]} in
	--bundle) file=${arguments[i + 1]}/config.json ;;
	--process) file=${arguments[i + 1]} ;;
	*) continue ;;
	esac
	# Bit 24 is CAP_SYS_RESOURCE.
	if [[ -f $file ]] && (((16#$bounded >> 24 & 1) == 0)); then
		jq -c 'walk(if type == "array" then map(select(. != "CAP_SYS_RESOURCE")) else . end)' "$file" >"$file.new"
		mv "$file.new" "$file"
	fi
done
exec runc "$@"
