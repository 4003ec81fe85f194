#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the end-to-end tests; arguments go to "go test". See doc.go for the
# variables. With EPIC_NO_SKIP=1 a machine that can't run them is a failure.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

export KUBECTL=${KUBECTL:-$PWD/bin/kubectl}
build() { CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -trimpath" go build "$@"; }
[[ -x $KUBECTL ]] || GOFLAGS="${GOFLAGS:-} -trimpath" hack/kubectl.sh "$KUBECTL"
build -o bin/ ./cmd/epicctl ./hack/testreport
# hack/backup.sh has the server's snapshot.
build -o bin/epic-apiserver ./cmd/apiserver
# TestHelm installs EPIC in another way, and TestGateways takes 20 minutes. They have
# targets of their own: make e2e-helm and make e2e-gateways.
bin/testreport -C test/e2e -- -skip "${EPIC_E2E_SKIP-^(TestHelm|TestGateways)\$}" -count=1 -timeout=60m "$@" .
