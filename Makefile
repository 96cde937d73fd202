# The only list of commands. `make help` prints it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Downloads and built tools live here, keyed by their pins; nothing depends on its being there.
export WEIR_CACHE ?= $(HOME)/.cache/weir
MUSL := x86_64-unknown-linux-musl
PROFILE ?= fast
WEIR_STATIC := target/$(MUSL)/$(PROFILE)/weir
STANDIN_STATIC := target/$(MUSL)/$(PROFILE)/weir-standin
WEIR_IMAGE := ghcr.io/weir-dev/weir:dev
STANDIN_IMAGE := docker.io/library/weir-standin:dev
VICTORIA_IMAGE = docker.io/victoriametrics/victoria-metrics:$(shell awk '/^require github.*VictoriaMetrics v/ {print $$3}' e2e/tools/victoria-metrics/go.mod)
# Properties start from the same seed here and everywhere, so that a check which fails can be repeated; `make soak` rolls
# the dice anew.
export PROPTEST_RNG_SEED ?= 1
# Tests at once against the cluster: most of a test is waiting.
E2E_THREADS ?= 4
KUBECTL = $$(e2e/tools/get kubectl)
HELM = $$(e2e/tools/get helm)

.PHONY: help
help: ## Print this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-16s %s\n", $$1, $$2}'

.PHONY: prepare
prepare: ## Install what Debian packages and rustup must provide
	@e2e/prepare

.PHONY: build
build: prepare ## Build the static binaries (PROFILE=release for the ones to ship)
	cargo build --profile $(PROFILE) --locked --workspace --bins --target $(MUSL)

.PHONY: generate
generate: ## Rewrite the generated files (crds/, charts/weir-crds)
	cargo run --quiet --locked -- crds --out crds
	rm -f charts/weir-crds/files/*.yaml && mkdir -p charts/weir-crds/files && cp crds/*.yaml charts/weir-crds/files/

.PHONY: demo
demo: ## Run a sample with 4 k6 instances here, into a local Timestream stand-in, and print what was stored
	@e2e/demo

.PHONY: unit
unit: prepare ## Run units, properties and simulations, and the stand-in's own checks
	WEIR_K6=$$(e2e/tools/get k6) WEIR_K6_V1=$$(e2e/tools/get k6-v1) \
	cargo test --locked --workspace --lib --bins --features weir/e2e
	cargo build --locked --package weir-standin
	WEIR_STANDIN=target/debug/weir-standin e2e/standin/checks/run

.PHONY: soak
soak: prepare ## Run the properties, the fuzzed decoders and the simulations with seeds of the day (CASES=20000 of each)
	env -u PROPTEST_RNG_SEED PROPTEST_CASES=$(or $(CASES),20000) \
	WEIR_K6=$$(e2e/tools/get k6) WEIR_K6_V1=$$(e2e/tools/get k6-v1) \
	cargo test --locked --workspace --lib --features weir/e2e

.PHONY: fuzz
fuzz: prepare ## Let libFuzzer look for bytes that break a decoder (FUZZ_SECONDS=60 for each of 8 targets)
	fuzz/run

.PHONY: sink
sink: prepare ## Run the whole aggregator against the strict stand-in and against moto
	cargo build --locked --package weir-standin
	AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_EC2_METADATA_DISABLED=true \
	WEIR_STANDIN=$(CURDIR)/target/debug/weir-standin WEIR_MOTO=$(CURDIR)/e2e/standin/checks/moto_server \
	cargo test --locked --features e2e --test sink

.PHONY: lossless
lossless: prepare ## Run real k6 into a stand-in that throttles, fails, cuts and dies, kill a k6, and count every row (3 min)
	cargo build --locked --workspace --bins
	AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_EC2_METADATA_DISABLED=true \
	WEIR_BIN=$(CURDIR)/target/debug/weir WEIR_K6=$$(e2e/tools/get k6) WEIR_STANDIN=$(CURDIR)/target/debug/weir-standin \
	cargo test --locked --features e2e --test lossless --test rollup -- --nocapture

.PHONY: influx
influx: prepare ## Run real k6 into VictoriaMetrics behind a proxy that throttles, fails and cuts, and count every sample (40 s)
	cargo build --locked --bin weir
	WEIR_BIN=$(CURDIR)/target/debug/weir WEIR_K6=$$(e2e/tools/get k6) \
	WEIR_VICTORIA_METRICS=$$(e2e/tools/get victoria-metrics) \
	cargo test --locked --features e2e --test influx -- --nocapture

.PHONY: parity
parity: prepare ## Compare Weir with k6 2 and k6 1, script by script, on this machine (PARITY=short: a part, k6 2 only)
	cargo build --locked --bin weir
	WEIR_BIN=target/debug/weir WEIR_K6=$$(e2e/tools/get k6)$(if $(filter short,$(PARITY)),,:$$(e2e/tools/get k6-v1)) \
	cargo test --locked --features e2e --test parity

.PHONY: cluster
cluster: ## Bring up a real Kubernetes on this machine (root); prints its kubeconfig
	@e2e/cluster/up

.PHONY: cluster-down
cluster-down: ## Take the cluster down and leave nothing behind
	@e2e/cluster/down

.PHONY: image
image: build ## Build the images of Weir and of the stand-in and load them into the cluster
	e2e/images/load-own "$(WEIR_IMAGE)=$(WEIR_STATIC)" "$(STANDIN_IMAGE)=$(STANDIN_STATIC)"

.PHONY: deploy
deploy: cluster image ## Install Weir into the cluster by Helm
	KUBECONFIG=$$(e2e/cluster/up) e2e/deploy

.PHONY: e2e
e2e: deploy ## Run the end-to-end tests on the cluster
	e2e/images/load-own "$(VICTORIA_IMAGE)=$$(e2e/tools/get victoria-metrics)"
	KUBECONFIG=$$(e2e/cluster/up) e2e/run

.PHONY: test
test: ## Run everything: units, simulations, and the end-to-end tests on a cluster that is brought up and taken down
	$(MAKE) unit sink lossless influx
	$(MAKE) parity PARITY=short
	trap '$(MAKE) --no-print-directory cluster-down' EXIT; $(MAKE) e2e

.PHONY: lint
lint: prepare ## Check format, lints, shell scripts and charts
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy --locked --workspace --all-targets --features e2e -- -D warnings
	cargo clippy --locked --manifest-path fuzz/Cargo.toml --target-dir target --all-targets -- -D warnings
	shellcheck -x .ci/run e2e/prepare e2e/demo e2e/deploy e2e/deploy-peer e2e/run e2e/bench-cluster e2e/bench-operator e2e/cluster/up e2e/cluster/down e2e/tools/get e2e/images/build e2e/images/load e2e/images/load-own e2e/images/load-base e2e/images/load-peer fuzz/run
	$(HELM) lint charts/weir charts/weir-crds

.PHONY: bench
bench: ## Run the benchmarks: what a sample costs on its way and in money, and what thousands of agents cost
	cargo build --locked --release --package weir-standin
	AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_EC2_METADATA_DISABLED=true \
	WEIR_K6=$$(e2e/tools/get k6) WEIR_STANDIN=$(CURDIR)/target/release/weir-standin \
	cargo bench --locked

.PHONY: bench-cluster
bench-cluster: deploy ## Time 20 runs on the cluster from apply to the end, and the start skew, beside k6-operator's
	e2e/images/load-peer
	KUBECONFIG=$$(e2e/cluster/up) e2e/deploy-peer
	KUBECONFIG=$$(e2e/cluster/up) PEER_INITIALIZER_IMAGE=localhost/k6-shell:1 e2e/bench-cluster

.PHONY: bench-operator
bench-operator: deploy ## Print the operator's memory with 1,000 LoadTestRuns in the cluster
	KUBECONFIG=$$(e2e/cluster/up) e2e/bench-operator
