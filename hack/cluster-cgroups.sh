# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What hack/cluster.sh and hack/cluster-node.sh know of control groups. A machine
# has version 2 at /sys/fs/cgroup, or hierarchies of version 1 below it. Each
# function takes that folder as its first argument.

# The kubelet asks for these.
cgroup_controllers=(cpu cpuset memory pids)

# cgroup_version ROOT prints 1 or 2, or nothing where there is neither.
cgroup_version() {
	if [[ -e $1/cgroup.controllers ]]; then
		echo 2
	elif [[ -d $1/memory && -d $1/pids ]]; then
		echo 1
	fi
}

# cgroup_missing ROOT prints what a node would not find there, a line for each.
cgroup_missing() {
	local controller
	case $(cgroup_version "$1") in
	1)
		for controller in "${cgroup_controllers[@]}"; do
			[[ -d $1/$controller ]] || echo "the cgroup hierarchy $1/$controller"
		done
		;;
	2)
		for controller in "${cgroup_controllers[@]}"; do
			grep -qw "$controller" "$1/cgroup.controllers" || echo "the cgroup controller $controller in $1/cgroup.controllers"
		done
		;;
	*) echo "cgroups at $1, of version 1 or 2" ;;
	esac
}

# cgroup_hierarchies ROOT [MOUNTS] prints where the hierarchies of version 1 are.
cgroup_hierarchies() {
	awk -v below="$1/" '$3 == "cgroup" && index($2, below) == 1 { print $2 }' "${2:-/proc/mounts}"
}

# cgroup_join HIERARCHY NAME PID makes the group NAME, and moves a process into its
# group "system". In version 2 a group with controllers for its children has no
# process of its own, so the kubelet's groups stand next to "system".
cgroup_join() {
	local group=$1/$2 f controller
	mkdir -p "$group/system"
	if [[ -e $1/cgroup.controllers ]]; then
		for controller in $(<"$1/cgroup.controllers"); do
			# Some can't be had, rdma for one, and no node needs these.
			echo "+$controller" 2>/dev/null >"$1/cgroup.subtree_control" || continue
			echo "+$controller" 2>/dev/null >"$group/cgroup.subtree_control" || true
		done
	elif [[ ${1##*/} == cpuset ]]; then
		for f in cpus mems; do cat "$1/cpuset.$f" >"$group/cpuset.$f"; done
		echo 1 >"$group/cgroup.clone_children"
		for f in cpus mems; do cat "$1/cpuset.$f" >"$group/system/cpuset.$f"; done
	fi
	echo "$3" >"$group/system/cgroup.procs"
}

# cgroup_remove ROOT NAME removes the group with all that are below it, in each
# hierarchy, as soon as their processes are gone.
cgroup_remove() {
	local group i
	for group in "$1/$2" "$1"/*/"$2"; do
		[[ -d $group ]] || continue
		for ((i = 0; i < 50; i++)); do
			! find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || break
			sleep 0.1
		done
	done
}
