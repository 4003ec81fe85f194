#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# hack/restore.sh FILE puts the data of a snapshot into the etcd of an installation in a
# cluster, in place of everything that is there: it asks first, unless EPIC_YES=1. It restores
# an etcd of three members, and the embedded one of the one-member overlay. EPIC is away in the
# meantime. The old volumes are released, and kept or not as their storage class says.

set -euo pipefail

file=${1:?Usage: hack/restore.sh FILE}
kubectl="${KUBECTL:-kubectl} --namespace epic-system"

[[ -r $file ]] || { echo "$file does not exist or is not readable." >&2; exit 1; }
if [[ ${EPIC_YES:-} != 1 ]]; then
	read -r -p "All of EPIC's data in $($kubectl config current-context) is replaced by $file. Type yes: " answer
	[[ $answer == yes ]] || exit 1
fi

members=0
if $kubectl get statefulset epic-etcd >/dev/null 2>&1; then
	members=3
elif [[ $($kubectl get deployment epic-apiserver --output='jsonpath={.spec.template.spec.containers[0].args}') != *--data-dir=* ]]; then
	echo "epic-system has no StatefulSet epic-etcd, and its server has no embedded etcd. Restore an external etcd as docs/install.md describes." >&2
	exit 1
fi

replicas=$($kubectl get deployment epic-apiserver --output='jsonpath={.spec.replicas}')
image=$($kubectl get deployment epic-apiserver --output='jsonpath={.spec.template.spec.containers[0].image}')
$kubectl scale --replicas=0 deployment/epic-apiserver
((members == 0)) || $kubectl scale --replicas=0 statefulset/epic-etcd
$kubectl wait --for=delete pod --selector='app.kubernetes.io/name in (epic-apiserver,epic-etcd)' --timeout=5m

# restore CLAIM SIZE CLASS POD MOUNT ARGUMENT... makes the volume again, with the data of the
# snapshot in it.
restore() {
	local claim=$1 storage=$2 class=$3 pod=$4 mount=$5
	shift 5
	local argument arguments=
	for argument in "$@"; do arguments+=", \"$argument\""; done
	$kubectl delete persistentvolumeclaim "$claim" --ignore-not-found --timeout=2m
	# What mounts the volume takes a claim that is there under its name. The pod has
	# a label, so the members spread over the nodes as always.
	$kubectl apply --filename=- <<-YAML
		apiVersion: v1
		kind: PersistentVolumeClaim
		metadata: {name: $claim}
		spec:
		  accessModes: [ReadWriteOnce]
		  ${class:+storageClassName: $class}
		  resources: {requests: {storage: $storage}}
		---
		apiVersion: v1
		kind: Pod
		metadata: {name: $pod, labels: {app.kubernetes.io/name: epic-restore}}
		spec:
		  restartPolicy: Never
		  automountServiceAccountToken: false
		  securityContext: {runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532, fsGroup: 65532, seccompProfile: {type: RuntimeDefault}}
		  affinity:
		    podAntiAffinity:
		      preferredDuringSchedulingIgnoredDuringExecution:
		      - weight: 100
		        podAffinityTerm: {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app.kubernetes.io/name: epic-restore}}}
		  containers:
		  - name: restore
		    image: $image
		    stdin: true
		    stdinOnce: true
		    args: [restore, "-", "--data-dir=$mount/data"$arguments]
		    securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
		    volumeMounts: [{name: data, mountPath: $mount}]
		  volumes:
		  - {name: data, persistentVolumeClaim: {claimName: $claim}}
	YAML
	$kubectl wait --for=jsonpath='{.status.phase}'=Running --timeout=2m "pod/$pod"
	$kubectl attach --stdin --quiet "$pod" <"$file" || true
	$kubectl wait --for=jsonpath='{.status.phase}'=Succeeded --timeout=2m "pod/$pod" || {
		$kubectl logs "$pod"
		exit 1
	}
}

if ((members == 0)); then
	# The claim is missing if a restore was interrupted.
	storage=$($kubectl get persistentvolumeclaim epic-data --ignore-not-found --output='jsonpath={.spec.resources.requests.storage}')
	class=$($kubectl get persistentvolumeclaim epic-data --ignore-not-found --output='jsonpath={.spec.storageClassName}')
	restore epic-data "${storage:-10Gi}" "$class" epic-restore /var/lib/epic
else
	storage=$($kubectl get statefulset epic-etcd --output='jsonpath={.spec.volumeClaimTemplates[0].spec.resources.requests.storage}')
	class=$($kubectl get statefulset epic-etcd --output='jsonpath={.spec.volumeClaimTemplates[0].spec.storageClassName}')
	cluster=
	for ((i = 0; i < members; i++)); do
		cluster+=${cluster:+,}epic-etcd-$i=https://epic-etcd-$i.epic-etcd.epic-system.svc:2380
	done
	token=epic-$(date +%s)
	for ((i = 0; i < members; i++)); do
		restore "data-epic-etcd-$i" "$storage" "$class" "epic-restore-$i" /var/lib/etcd "--name=epic-etcd-$i" "--initial-cluster=$cluster" \
			"--initial-cluster-token=$token" "--initial-advertise-peer-urls=https://epic-etcd-$i.epic-etcd.epic-system.svc:2380"
	done
fi
$kubectl delete pod --selector=app.kubernetes.io/name=epic-restore

if ((members > 0)); then
	$kubectl scale --replicas=$members statefulset/epic-etcd
	$kubectl rollout status --timeout=5m statefulset/epic-etcd
fi
$kubectl scale --replicas="$replicas" deployment/epic-apiserver
$kubectl rollout status --timeout=5m deployment/epic-apiserver
$kubectl wait --for=condition=Available --timeout=2m apiservice/v1.epic.acnodal.io
