#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# hack/restore.sh FILE puts the data that hack/backup.sh saved into the etcd of
# three members in a cluster, in place of everything that is there: it asks first, unless
# EPIC_YES=1. EPIC is away in the meantime. The old volumes are released, and kept or
# not as their storage class says.

set -euo pipefail

file=${1:?Usage: hack/restore.sh FILE}
kubectl="${KUBECTL:-kubectl} --namespace epic-system"
members=3

[[ -r $file ]] || { echo "There is no file $file." >&2; exit 1; }
if [[ ${EPIC_YES:-} != 1 ]]; then
	read -r -p "All of EPIC's data in $($kubectl config current-context) is replaced by $file. Type yes: " answer
	[[ $answer == yes ]] || exit 1
fi

replicas=$($kubectl get deployment epic-apiserver --output='jsonpath={.spec.replicas}')
image=$($kubectl get deployment epic-apiserver --output='jsonpath={.spec.template.spec.containers[0].image}')
$kubectl scale --replicas=0 deployment/epic-apiserver
$kubectl scale --replicas=0 statefulset/epic-etcd
$kubectl wait --for=delete pod --selector='app.kubernetes.io/name in (epic-apiserver,epic-etcd)' --timeout=5m

cluster=
for ((i = 0; i < members; i++)); do
	cluster+=${cluster:+,}epic-etcd-$i=https://epic-etcd-$i.epic-etcd.epic-system.svc:2380
done
token=epic-$(date +%s)

for ((i = 0; i < members; i++)); do
	claim=data-epic-etcd-$i
	storage=$($kubectl get statefulset epic-etcd --output='jsonpath={.spec.volumeClaimTemplates[0].spec.resources.requests.storage}')
	class=$($kubectl get statefulset epic-etcd --output='jsonpath={.spec.volumeClaimTemplates[0].spec.storageClassName}')
	$kubectl delete persistentvolumeclaim "$claim" --ignore-not-found --timeout=2m
	# The StatefulSet takes claims that are there under these names. The pod has
	# the member's labels, so the members spread over the nodes as always.
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
		metadata: {name: epic-restore-$i, labels: {app.kubernetes.io/name: epic-restore}}
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
		    args:
		    - restore
		    - "-"
		    - --data-dir=/var/lib/etcd/data
		    - --name=epic-etcd-$i
		    - --initial-cluster=$cluster
		    - --initial-cluster-token=$token
		    - --initial-advertise-peer-urls=https://epic-etcd-$i.epic-etcd.epic-system.svc:2380
		    securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
		    volumeMounts: [{name: data, mountPath: /var/lib/etcd}]
		  volumes:
		  - {name: data, persistentVolumeClaim: {claimName: $claim}}
	YAML
	$kubectl wait --for=jsonpath='{.status.phase}'=Running --timeout=2m "pod/epic-restore-$i"
	$kubectl attach --stdin --quiet "epic-restore-$i" <"$file" || true
	$kubectl wait --for=jsonpath='{.status.phase}'=Succeeded --timeout=2m "pod/epic-restore-$i" || {
		$kubectl logs "epic-restore-$i"
		exit 1
	}
done
$kubectl delete pod --selector=app.kubernetes.io/name=epic-restore

$kubectl scale --replicas=$members statefulset/epic-etcd
$kubectl rollout status --timeout=5m statefulset/epic-etcd
$kubectl scale --replicas="$replicas" deployment/epic-apiserver
$kubectl rollout status --timeout=5m deployment/epic-apiserver
$kubectl wait --for=condition=Available --timeout=2m apiservice/v1.epic.acnodal.io
