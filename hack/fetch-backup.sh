#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# hack/fetch-backup.sh FILE [NAME] copies a scheduled snapshot from the volume epic-backup of a
# cluster to FILE on this machine, the newest or the one with that name, and verifies it. etcd
# and the API server need not run. It needs kubectl and bin/epic-apiserver (make build). FILE
# holds secrets. IMAGE names the image of epic-apiserver if none is deployed.

set -euo pipefail

if [[ " $* " == *" --help "* ]]; then
	sed -n 's/^# \{0,1\}//; 4,/^$/p' "${BASH_SOURCE[0]}"
	exit
fi
file=${1:?Usage: hack/fetch-backup.sh FILE [NAME]}
name=${2:-}
kubectl="${KUBECTL:-kubectl} --namespace epic-system"
program=$(dirname "${BASH_SOURCE[0]}")/../bin/epic-apiserver
pod=epic-backup-fetch

[[ ! -e $file ]] || { echo "$file already exists: choose another name, or remove it first." >&2; exit 1; }
umask 077
image=${IMAGE:-$($kubectl get deployment epic-apiserver --output='jsonpath={.spec.template.spec.containers[0].image}')}
trap 'rm -f "$file.part"; $kubectl delete pod "$pod" --ignore-not-found --wait=false >/dev/null' EXIT

# The server may have mounted the volume, which is then on its node only.
$kubectl apply --filename=- >/dev/null <<-YAML
	apiVersion: v1
	kind: Pod
	metadata: {name: $pod, labels: {app.kubernetes.io/name: $pod}}
	spec:
	  restartPolicy: Never
	  automountServiceAccountToken: false
	  securityContext: {runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532, fsGroup: 65532, fsGroupChangePolicy: OnRootMismatch, seccompProfile: {type: RuntimeDefault}}
	  affinity:
	    podAffinity:
	      preferredDuringSchedulingIgnoredDuringExecution:
	      - weight: 100
	        podAffinityTerm: {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app.kubernetes.io/name: epic-apiserver}}}
	  containers:
	  - name: print
	    image: $image
	    stdin: true
	    stdinOnce: true
	    args: [backup, print, --backup-dir=/var/lib/epic-backup/snapshots, --wait${name:+, $name}]
	    securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
	    volumeMounts: [{name: backup, mountPath: /var/lib/epic-backup, readOnly: true}]
	  volumes:
	  - {name: backup, persistentVolumeClaim: {claimName: epic-backup}}
YAML
failed() {
	$kubectl logs "$pod" >&2 || true
	exit 1
}
# It ends at once if there is no such snapshot.
$kubectl wait --for=jsonpath='{.status.phase}'=Running --timeout=3m "pod/$pod" >/dev/null || failed
# The line reports that somebody reads.
echo | $kubectl attach --stdin --quiet "$pod" >"$file.part"
$kubectl wait --for=jsonpath='{.status.phase}'=Succeeded --timeout=1m "pod/$pod" >/dev/null || failed
"$program" backup verify "$file.part"
mv "$file.part" "$file"
echo "Copied it to $file"
