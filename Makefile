# SPDX-License-Identifier: Apache-2.0

# The front door. "make" lists what there is; each target says in one line what
# it does. What a target does is in hack/, so it can be run without make.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Generated code is formatted by its generators.
GO_SOURCES = $$(git ls-files --cached --others --exclude-standard '*.go' | grep -v -E 'zz_generated|\.pb\.go$$|^pkg/generated/')

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-19s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# What hack/images.sh builds with, so nothing is compiled twice.
GO_BUILD = CGO_ENABLED=0 GOFLAGS="$${GOFLAGS:-} -trimpath" go build

.PHONY: build
build: ## Build EPIC's programs and kubectl into bin/
	$(GO_BUILD) -o bin/epic-apiserver ./cmd/apiserver
	$(GO_BUILD) -o bin/epic-controller ./cmd/controller
	$(GO_BUILD) -o bin/epicctl ./cmd/epicctl
	$(GO_BUILD) -o bin/epic-connector ./cmd/connector
ifeq ($(shell go env GOOS),linux)
	$(GO_BUILD) -o bin/epic-node ./cmd/node
	$(GO_BUILD) -o bin/epic-cni ./cmd/cni
	$(GO_BUILD) -o bin/epic-operator ./cmd/operator
	$(GO_BUILD) -o bin/epic-proxy ./cmd/proxy
	$(GO_BUILD) -o bin/epic-world ./test/world/epic-world
endif
	ln -sf epicctl bin/kubectl-epic
	GOFLAGS="$${GOFLAGS:-} -trimpath" hack/kubectl.sh bin/kubectl

.PHONY: run
run: ## Run a standalone server, and as root a demonstration of a tunnel, until Ctrl-C; data is kept in .epic/
	@hack/run.sh check
	@$(MAKE) --no-print-directory build
	@hack/run.sh

.PHONY: test
test: build ## Run all tests
	@hack/test.sh ./...
	@go test -C hack/tools/image ./...

# For a quick look: make bench BENCH='-objects 2000 -rounds 1'
BENCH ?=

.PHONY: bench
bench: build ## Run the benchmarks; with 100,000 objects this takes up to an hour
	go run ./test/bench $(BENCH)
	go test -run='^$$' -bench=. -timeout=60m ./pkg/... ./test/node ./test/announce ./test/operator

# For five minutes, drawn from a seed: make chaos CHAOS='-duration=5m -seed=7'. With OLD=REF,
# programs of that version are replaced by the present ones, and back, while everything runs.
CHAOS ?=
OLD ?=

.PHONY: chaos
chaos: build ## Inject faults into a running EPIC for an hour, and check every response (Linux, root)
	hack/chaos.sh '$(OLD)' $(CHAOS)

.PHONY: images
images: ## Build the container images into bin/images
	hack/images.sh

# For one architecture: ARCHS=amd64 make release VERSION=v1.2.3
VERSION ?=

.PHONY: release
release: ## Build a release: make release VERSION=v1.2.3
	hack/release.sh '$(VERSION)'

.PHONY: release-check
release-check: ## Build a release twice, in two directories, and compare the files
	hack/release.sh '$(VERSION)' --check

.PHONY: e2e
e2e: build ## Test EPIC in a real cluster of its own (Linux, root)
	test/e2e/run.sh

.PHONY: e2e-helm
e2e-helm: build ## Test the Helm charts in a real cluster of its own (Linux, root)
	EPIC_E2E_SKIP='^$$' test/e2e/run.sh -run '^TestHelm$$'

.PHONY: e2e-gateways
e2e-gateways: build ## Drain, crash and replace gateway nodes of a real cluster under traffic (Linux, root, bird2; 20 minutes)
	EPIC_E2E_SKIP='^$$' test/e2e/run.sh -run '^TestGateways$$'

.PHONY: conformance
conformance: ## Run the Gateway API's conformance suite (Linux, root)
	hack/conformance.sh

.PHONY: conformance-cluster
conformance-cluster: ## Run that suite in a real cluster, through tunnels (Linux, root; 20 minutes)
	hack/conformance-cluster.sh

.PHONY: e2e-kind
e2e-kind: build ## Test EPIC in a kind cluster with three nodes (Linux, Docker)
	hack/kind.sh

# Another version than the last tag: make skew OLD=v1.2.3
.PHONY: skew
skew: ## Run two versions of each program together, under traffic (Linux, root; 10 minutes)
	hack/skew.sh $(OLD)

.PHONY: alerts
alerts: build ## Cause the fault of each alert, with a real Prometheus (Linux, root; 5 minutes)
	go test -tags=alerts -count=1 -timeout=30m -v -run '^TestAlertsFire$$' ./test/monitoring

.PHONY: cluster
cluster: build images ## Start a Kubernetes cluster with EPIC in it (Linux, root)
	@hack/cluster-epic.sh

.PHONY: cluster-down
cluster-down: ## Stop that cluster
	@hack/cluster.sh down

.PHONY: generate
generate: ## Generate code from the types in pkg/apis, BPF programs and charts
	hack/update-codegen.sh
	hack/update-bpf.sh
	go run ./hack/charts

.PHONY: verify
verify: ## Check generated code, format and lint
	@hack/verify.sh

.PHONY: lint
lint: ## Run the linters
	go tool -modfile=hack/tools/lint/go.mod golangci-lint run ./...

.PHONY: fmt
fmt: ## Format the Go sources
	@gofmt -w $(GO_SOURCES)

.PHONY: clean
clean: ## Remove build output, but not the data in .epic/
	rm -rf bin
