#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Generates everything that is derived from the types in pkg/apis: deep copies,
# defaults, conversions, protobuf, OpenAPI, the typed clients in pkg/generated, and
# docs/reference-api.md. Needs Go and nothing else: the generators are built from the
# versions pinned in hack/tools/protoc/go.mod.
#
# UPDATE_OPENAPI_REPORT=true accepts the API rule violations that the OpenAPI
# generator finds; without it a new one is an error.

set -o errexit
set -o nounset
set -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
root="$(pwd -P)"

module="github.com/acnodal/epic"
apis="${module}/pkg/apis/epic"
generated="${module}/pkg/generated"
boilerplate="${root}/hack/boilerplate.go.txt"
violations="pkg/generated/openapi/violations.report"

work="$(mktemp -d)"
trap 'rm -rf "${work}"' EXIT
# The caller's settings must not lead the generators out of this tree.
unset GOFLAGS GOBIN
export GOWORK=off
export PATH="${work}/bin:${PATH}"

say() { echo "[codegen] $*"; }

say "building the generators"
mkdir -p "${work}/bin"
(cd hack/tools/protoc && go build -o "${work}/bin/" tool && go build -o "${work}/bin/protoc" .)

# go-to-protobuf rewrites the struct tags of the types, so it runs first and the
# other generators see what it leaves. It expects every proto file at its import
# path below one directory, which links make out of the module cache and this
# tree.
say "protobuf"
mkdir -p "${work}/src/github.com/acnodal" "${work}/src/github.com/gogo" "${work}/src/k8s.io"
ln -s "${root}" "${work}/src/${module}"
ln -s "$(go list -m -f '{{.Dir}}' k8s.io/api)" "${work}/src/k8s.io/api"
ln -s "$(go list -m -f '{{.Dir}}' k8s.io/apimachinery)" "${work}/src/k8s.io/apimachinery"
ln -s "$(cd hack/tools/protoc && go list -m -f '{{.Dir}}' github.com/gogo/protobuf)" "${work}/src/github.com/gogo/protobuf"
# A dash before a package: read it, write nothing to it.
go-to-protobuf \
	--go-header-file "${boilerplate}" \
	--output-dir "${work}/src" \
	--apimachinery-packages "-k8s.io/apimachinery/pkg/util/intstr,-k8s.io/apimachinery/pkg/api/resource,-k8s.io/apimachinery/pkg/runtime/schema,-k8s.io/apimachinery/pkg/runtime,-k8s.io/apimachinery/pkg/apis/meta/v1" \
	--packages "-k8s.io/api/core/v1,-k8s.io/api/discovery/v1,${apis}/v1"

say "deep copies"
deepcopy-gen --go-header-file "${boilerplate}" \
	--output-file zz_generated.deepcopy.go "${apis}" "${apis}/v1"

say "defaults"
defaulter-gen --go-header-file "${boilerplate}" \
	--output-file zz_generated.defaults.go "${apis}/v1"

say "conversions"
conversion-gen --go-header-file "${boilerplate}" \
	--output-file zz_generated.conversion.go "${apis}/v1"

# openapi-gen also describes the foreign types that ours refer to, except those
# that pkg/apis/openapi adds. It would write model names into their packages,
# which are not ours, so they are read-only.
say "OpenAPI"
mkdir -p pkg/generated/openapi
foreign=(
	k8s.io/api/discovery/v1
	k8s.io/apimachinery/pkg/api/resource
	k8s.io/apimachinery/pkg/apis/meta/v1
	k8s.io/apimachinery/pkg/runtime
	k8s.io/apimachinery/pkg/util/intstr
	k8s.io/apimachinery/pkg/version
)
readonly_args=()
for package in "${foreign[@]}"; do
	readonly_args+=(--readonly-pkg "${package}")
done
openapi-gen --go-header-file "${boilerplate}" \
	--output-file zz_generated.openapi.go \
	--output-model-name-file zz_generated.model_name.go \
	--output-dir pkg/generated/openapi \
	--output-pkg "${generated}/openapi" \
	--report-filename "${work}/violations.report" \
	"${readonly_args[@]}" \
	"${foreign[@]}" "${apis}/v1" >/dev/null
grep "${apis}\|acnodal" "${work}/violations.report" >"${work}/ours.report" || true
if [[ "${UPDATE_OPENAPI_REPORT:-}" == true ]]; then
	cp "${work}/ours.report" "${violations}"
elif ! diff -u "${violations}" "${work}/ours.report"; then
	echo "The types break an API rule that they did not break before. Fix them," >&2
	echo "or accept it: UPDATE_OPENAPI_REPORT=true $0" >&2
	exit 1
fi

# Foreign types take the apply configurations that their own projects made. The
# generator needs every type of the Gateway API that ours reach in one step.
say "apply configurations"
external=()
for type in Endpoint EndpointPort; do
	external+=("k8s.io/api/discovery/v1.${type}:k8s.io/client-go/applyconfigurations/discovery/v1")
done
for type in GatewaySpec Listener GatewaySpecAddress GatewayInfrastructure \
	AllowedListeners GatewayTLSConfig CommonRouteSpec ParentReference \
	HTTPRouteSpec HTTPRouteRule TCPRouteSpec TCPRouteRule GRPCRouteSpec GRPCRouteRule \
	TLSRouteSpec TLSRouteRule UDPRouteSpec UDPRouteRule BackendTLSPolicyValidation LocalObjectReference SubjectAltName; do
	external+=("sigs.k8s.io/gateway-api/apis/v1.${type}:sigs.k8s.io/gateway-api/applyconfiguration/apis/v1")
done
go run ./pkg/apis/openapi/models-schema >"${work}/schema.json"
applyconfiguration-gen --go-header-file "${boilerplate}" \
	--output-dir "${work}/clients/applyconfiguration" \
	--output-pkg "${generated}/applyconfiguration" \
	--openapi-schema "${work}/schema.json" \
	--external-applyconfigurations "$(IFS=,; echo "${external[*]}")" \
	"${apis}/v1"

say "clients"
client-gen --go-header-file "${boilerplate}" \
	--output-dir "${work}/clients/clientset" \
	--output-pkg "${generated}/clientset" \
	--clientset-name versioned \
	--apply-configuration-package "${generated}/applyconfiguration" \
	--input-base "${module}/pkg/apis" \
	--input epic/v1 \
	--prefers-protobuf

say "listers"
lister-gen --go-header-file "${boilerplate}" \
	--output-dir "${work}/clients/listers" \
	--output-pkg "${generated}/listers" \
	"${apis}/v1"

say "informers"
informer-gen --go-header-file "${boilerplate}" \
	--output-dir "${work}/clients/informers" \
	--output-pkg "${generated}/informers" \
	--versioned-clientset-package "${generated}/clientset/versioned" \
	--listers-package "${generated}/listers" \
	"${apis}/v1"

say "reference"
go run ./pkg/apis/openapi/reference >"${work}/reference-api.md"

# Only now, so a generator that fails leaves the tree as it was.
for package in applyconfiguration clientset listers informers; do
	rm -rf "pkg/generated/${package}"
	cp -R "${work}/clients/${package}" "pkg/generated/${package}"
done
cp "${work}/reference-api.md" docs/reference-api.md
say "done"
