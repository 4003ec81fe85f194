# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# How hack/conformance.sh and hack/conformance-cluster.sh run the suite of
# test/conformance.

profiles=GATEWAY-HTTP,GATEWAY-GRPC,GATEWAY-TLS,GATEWAY-TCP,GATEWAY-UDP

# build_program runs "go build" with what "make build" and hack/images.sh build with, so nothing
# is compiled twice.
build_program() {
	local folder=()
	[[ $1 != -C ]] || folder=("${@:1:2}")
	CGO_ENABLED=0 go build "${folder[@]}" -buildvcs=false -trimpath "${@:1+${#folder[@]}}"
}

# build_suite DIR builds the suite.
build_suite() { CGO_ENABLED=0 go test -C test/conformance -trimpath -c -o "$1/suite" .; }

# build_backends DIR builds the programs of the suite's backends.
build_backends() {
	build_program -C test/conformance -o "$1/" ./coredns sigs.k8s.io/gateway-api/conformance/echo-basic
}

# suite_images prints the names of the images in the suite's manifests, except those of
# service meshes.
suite_images() {
	local folder
	folder=$(go list -C test/conformance -m -f '{{.Dir}}' sigs.k8s.io/gateway-api/conformance)
	grep -rhoP --include='*.yaml' '^ *(- )?image: *\K\S+' "$folder"/base "$folder"/tests | sort -u
}

# suite_crds prints the folder of the Gateway API's definitions, experimental channel.
suite_crds() { echo "$(go list -m -f '{{.Dir}}' sigs.k8s.io/gateway-api)/config/crd/experimental"; }

# run_suite DIR [FILE | -- ARGS...] runs every test and writes DIR/report.yaml, or the tests
# that a file names, or the suite with other flags. Its log is DIR/log/suite.log.
run_suite() {
	local dir=$1 status=0 args=(-test.v -test.timeout=60m -gateway-class=epic -cleanup-base-resources=false
		-usable-address=10.95.15.200 -unusable-address=198.51.100.1
		-organization=acnodal -project=epic -url=https://github.com/acnodal/epic -version=dev -contact=https://github.com/acnodal/epic/issues)
	shift
	if [[ ${1:-} == -- ]]; then
		shift
		args+=("$@")
	elif (($#)); then
		EPIC_CONFORMANCE_TESTS=$(realpath "$1")
		export EPIC_CONFORMANCE_TESTS
	else
		args+=("-conformance-profiles=$profiles" "-report-output=$dir/report.yaml")
	fi
	"$dir/bin/suite" "${args[@]}" >"$dir/log/suite.log" 2>&1 || status=$?
	grep -E '^ *--- (PASS|FAIL|SKIP)' "$dir/log/suite.log" || tail -n 20 "$dir/log/suite.log"
	return "$status"
}
