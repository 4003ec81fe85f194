#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the tests of the packages named, and says at the end what was skipped and
# why. With EPIC_NO_SKIP=1 a skipped test is a failure.
#
# Tests that want kubectl find it in $KUBECTL.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export KUBECTL=${KUBECTL:-$PWD/bin/kubectl}
go build -o bin/testreport ./hack/testreport
bin/testreport -- -timeout=30m "$@"
