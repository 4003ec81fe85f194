#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Certificates for EPIC where there is no cert-manager: authorities and what they
# sign, as Secrets in the namespace epic-system, and the authority's certificate
# in the APIService. All state is in the cluster; nothing stays on this machine.
#
# Run it after "kubectl apply -k", and again to renew, from any machine: the
# authorities are kept (10 years), the rest is created again (a year, or $DAYS), and
# the servers read it again while they serve. It needs kubectl and openssl.

set -euo pipefail

namespace=epic-system
days=${DAYS:-365}
authority_days=3650
kubectl=${KUBECTL:-kubectl}

tunnel_keys=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/tunnel-keys.sh

umask 077
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

openssl_quiet() { openssl "$@" 2>>openssl.log || { cat openssl.log >&2; return 1; }; }

# store NAME CERTIFICATE KEY AUTHORITY
store() {
	$kubectl create secret generic "$1" --namespace "$namespace" --type=kubernetes.io/tls --dry-run=client --output=yaml \
		--from-file=tls.crt="$2" --from-file=tls.key="$3" --from-file=ca.crt="$4" |
		$kubectl apply --server-side --force-conflicts --field-manager=epic-certs --filename=- >/dev/null
	echo "secret/$1"
}

# authority NAME COMMON-NAME takes the authority from the cluster, or makes it.
authority() {
	if $kubectl get secret "$1" --namespace "$namespace" >/dev/null 2>&1; then
		$kubectl get secret "$1" --namespace "$namespace" --output='go-template={{index .data "tls.crt"}}' | base64 -d >"$1.crt"
		$kubectl get secret "$1" --namespace "$namespace" --output='go-template={{index .data "tls.key"}}' | base64 -d >"$1.key"
		# What it signs must not outlive it.
		openssl x509 -in "$1.crt" -noout -checkend $((days * 86400)) >/dev/null || {
			echo "The authority in secret $1 ends within $days days: see docs/install.md, \"A new authority\"." >&2
			return 1
		}
		return
	fi
	openssl_quiet ecparam -name prime256v1 -genkey -noout -out "$1.key"
	openssl_quiet req -x509 -new -key "$1.key" -days "$authority_days" -subj "/CN=$2" -out "$1.crt" \
		-addext keyUsage=critical,keyCertSign,cRLSign
	store "$1" "$1.crt" "$1.key" "$1.crt"
}

# certificate NAME AUTHORITY COMMON-NAME USAGES [DNS-NAMES]
certificate() {
	openssl_quiet ecparam -name prime256v1 -genkey -noout -out "$1.key"
	openssl_quiet req -new -key "$1.key" -subj "/CN=$3" -out "$1.csr"
	{
		echo basicConstraints=critical,CA:false
		echo keyUsage=critical,digitalSignature
		echo "extendedKeyUsage=$4"
		[[ -z ${5:-} ]] || echo "subjectAltName=$5"
	} >"$1.ext"
	openssl_quiet x509 -req -in "$1.csr" -CA "$2.crt" -CAkey "$2.key" -CAcreateserial -days "$days" -extfile "$1.ext" -out "$1.crt"
	store "$1" "$1.crt" "$1.key" "$2.crt"
}

names() {
	local host
	for host; do printf 'DNS:%s,' "$host"; done | sed 's/,$//'
}

$kubectl get namespace "$namespace" >/dev/null || {
	echo "First install EPIC: kubectl apply -k artifacts/install/overlays/three-members" >&2
	exit 1
}

authority epic-ca epic-ca
certificate epic-apiserver-tls epic-ca epic-apiserver serverAuth \
	"$(names epic-apiserver.$namespace.svc epic-apiserver.$namespace epic-apiserver)"

if $kubectl get statefulset epic-etcd --namespace "$namespace" >/dev/null 2>&1; then
	# An authority of its own: it alone decides which clients etcd accepts.
	authority epic-etcd-ca epic-etcd-ca
	members=()
	for ((i = 0; i < 3; i++)); do members+=("epic-etcd-$i.epic-etcd.$namespace.svc"); done
	certificate epic-etcd-server-tls epic-etcd-ca epic-etcd-server serverAuth,clientAuth "$(names "${members[@]}" localhost)"
	certificate epic-etcd-peer-tls epic-etcd-ca epic-etcd-peer serverAuth,clientAuth "$(names "${members[@]}")"
	certificate epic-apiserver-etcd-tls epic-etcd-ca epic-apiserver clientAuth
fi

# The first master key of the tunnels, where there is none yet.
KUBECTL=$kubectl "$tunnel_keys"

$kubectl patch apiservice v1.epic.acnodal.io --field-manager=epic-certs --type=merge \
	--patch "{\"spec\":{\"caBundle\":\"$(base64 -w0 <epic-ca.crt)\"}}"
