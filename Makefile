# Everything a person or CI runs. `make help` lists it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

SETUP := python3 deploy/setup/setup.py
COMMA := ,
DEV := python3 deploy/dev/dev.py
# Gigabytes that .local and target come to, with Cargo's incremental builds.
ROOM_FOR_DEMO := 4
ROOM_FOR_TESTS := 12
ROOM_FOR_TORCH := 17
# Where the demo keeps its index and its runs.
DEMO_DATA := .local/demo

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  %-16s %s\n", $$1, $$2 }'

## Set-up

# What tests switch on in what programs are made of, too: switched on here, nothing is compiled a second time.
AS_IN_TESTS := tokio/test-util,sightline-index/conformance,sightline-objects/conformance,sightline-queue/conformance
PROGRAMS := cargo build --locked --workspace --bins --features $(AS_IN_TESTS)

.PHONY: setup
setup: ## Fetch libtorch, build tools, the demo's models and its pictures into .local/
	$(SETUP) --room $(ROOM_FOR_DEMO) libtorch build-tools models pictures

.PHONY: setup-test
setup-test: setup ## Fetch also RabbitMQ, Milvus and an S3 server
	$(SETUP) --room $(ROOM_FOR_TESTS) rabbitmq milvus milvus-lite moto

.PHONY: build
build: setup ## Build every binary
	cargo build --locked --workspace --bins

## The main job

.PHONY: demo
demo: setup ## Embed pictures and search them; IMAGES=DIR takes your own
	cargo build --locked --bin sightline
	target/debug/sightline demo --data $(DEMO_DATA) --model .local/models/sightline-demo \
		$(if $(IMAGES),--images "$(abspath $(IMAGES))",--stamps .local/pictures/stamps)

## Tests

.PHONY: test
test: lint test-setup test-bench test-rust bad-input e2e-small operations generated faults-small ## All that CI runs: lints, unit and conformance tests on real servers, a small end-to-end, what users do with runs, a few faults

.PHONY: test-all
test-all: test doc deny helm-test e2e coverage ## What `make test` runs, and all that is slow

.PHONY: lint
lint: setup ## rustfmt and clippy, warnings denied
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --all-features -- -D warnings

.PHONY: test-setup
test-setup: setup-test ## Tests of the set-up programs
	cd deploy/setup && python3 -m unittest -q test_setup model_weights_test

.PHONY: test-bench
test-bench: ## Tests of what the benchmarks count and draw
	python3 bench/common/test_usage.py
	python3 bench/memory/test_picture.py
	python3 bench/scale/test_paper.py

.PHONY: test-rust
test-rust: setup-test ## Unit, conformance and integration tests, on real servers
	cargo test --locked --workspace --no-run
	$(DEV) run rabbitmq milvus milvus-lite moto -- \
		cargo test --locked --workspace --no-fail-fast

.PHONY: e2e-small
e2e-small: setup-test ## The whole system from outside on 100 pictures, S3 by moto (target/e2e-small.json)
	$(SETUP) python-clients
	$(PROGRAMS)
	$(DEV) run rabbitmq milvus milvus-lite moto -- \
		.local/venv-clients/bin/python tests/e2e/run.py --items 100 --shards 20 --report target/e2e-small.json

.PHONY: operations
operations: setup-test ## What users do with runs, by the program alone: mirror, retry, repair, cancel, resume, dedupe (target/operations.json)
	$(SETUP) python-clients
	$(PROGRAMS)
	$(DEV) run rabbitmq milvus moto -- .local/venv-clients/bin/python tests/e2e/operations.py

.PHONY: bad-input
bad-input: setup-test ## Every bad picture becomes what it should, in bounded memory (target/bad-input.json)
	$(SETUP) python-clients
	$(PROGRAMS)
	.local/venv-clients/bin/python tests/e2e/bad_input.py

# Built with fail points, which no other target's programs have.
FAULTY := cargo build --locked --workspace --bin sightline-worker --bin sightline-coordinator \
	--features $(AS_IN_TESTS),sightline-worker/fail-points,sightline-coordinator/fail-points
FAULTY_BINARIES := SIGHTLINE_BINARIES=target/faults-bin

.PHONY: faults-binaries
faults-binaries: setup-test
	$(SETUP) python-clients
	$(FAULTY)
	mkdir -p target/faults-bin
	ln -f target/debug/sightline-worker target/debug/sightline-coordinator target/faults-bin/

.PHONY: faults-small
faults-small: faults-binaries ## That the audit of faults can fail, and some faults in short runs (target/faults-small.json)
	.local/venv-clients/bin/python tests/faults/test_report.py
	.local/venv-clients/bin/python tests/faults/test_trial.py
	$(DEV) run rabbitmq milvus moto -- env $(FAULTY_BINARIES) $(SHELL) -euc '\
		.local/venv-clients/bin/python tests/faults/test_audit.py; \
		.local/venv-clients/bin/python tests/faults/run.py \
			--items 160 --scale 0.1 --only 2,13,17 --report target/faults-small.json'

.PHONY: up
up: setup-test ## Start the real servers for tests by hand; then: eval "$(deploy/dev/dev.py env)"
	$(DEV) up rabbitmq milvus milvus-lite moto

.PHONY: down
down: ## End the servers
	$(DEV) down

## Kubernetes

CHART_PYTHON := .local/venv-chart/bin/python
SERVICES := -p sightline-coordinator -p sightline-worker -p sightline-gateway

.PHONY: helm-test
helm-test: generated ## Lint, render and check the chart for five versions of Kubernetes (target/helm.json)
	$(SETUP) chart-checks
	for program in rules runbooks; do $(CHART_PYTHON) tools/chart/$$program.py --check; done
	$(CHART_PYTHON) tests/chart/run.py

.PHONY: helm-live
helm-live: setup-test ## The chart on a real control plane, its pods as processes on real servers, its Jobs too (target/helm-live.json); builds Kubernetes
	$(SETUP) python-clients chart-checks control-plane
	.local/venv-clients/bin/python tests/live/test_service.py
	cargo build --locked $(SERVICES) -p sightline-cli --bins
	$(DEV) run --rabbitmq-management rabbitmq milvus-lite moto -- .local/venv-clients/bin/python tests/live/run.py

.PHONY: keda-live
keda-live: setup-test ## KEDA's operator scales the chart's workers 0 to N to 0 with a real queue (target/keda-live.json); builds KEDA
	$(SETUP) python-clients helm control-plane keda
	cargo build --locked $(SERVICES) -p sightline-cli --bins
	$(DEV) run --rabbitmq-management rabbitmq milvus-lite moto -- .local/venv-clients/bin/python tests/live/scaling.py

.PHONY: alerts-live
alerts-live: setup-test ## Four of the chart's alerts on a real Prometheus, each fired by its outage (target/alerts.json)
	$(SETUP) python-clients helm prometheus
	cargo build --locked $(SERVICES) --bins
	$(DEV) run rabbitmq milvus-lite moto -- .local/venv-clients/bin/python tests/live/alerts.py

.PHONY: lint-docker
lint-docker: ## hadolint over the Dockerfiles
	$(SETUP) python-chart
	.local/venv-chart/bin/hadolint --config .hadolint.yaml deploy/docker/*.Dockerfile

.PHONY: generated
generated: setup versions lint-docker ## That what programs make of the code is committed: configuration, schemas, the chart's README, dashboards
	$(SETUP) python-chart
	$(PROGRAMS)
	for program in schema readme dashboards configuration; do $(CHART_PYTHON) tools/chart/$$program.py --check; done
	target/debug/sightline apply --schema | diff docs/run.schema.json -

.PHONY: chart-docs
chart-docs: setup ## Make the chart's schema, README and dashboards, docs/configuration.md, and alerts in compose and runbooks anew
	$(SETUP) python-chart helm
	$(PROGRAMS)
	target/debug/sightline apply --schema > docs/run.schema.json
	for program in schema readme dashboards configuration rules runbooks; do $(CHART_PYTHON) tools/chart/$$program.py; done

## Releases

# Another profile for trying it: `make dist PROFILE=dev` takes the programs that tests use.
PROFILE := release
PROFILE_FOLDER := $(if $(filter dev,$(PROFILE)),debug,$(PROFILE))

.PHONY: dist
dist: setup versions ## The release tarball, tried on a bare Debian (target/dist); PROFILE=dev packs the tests' programs
	$(SETUP) bare-debian
	cargo build --locked --workspace --bins --profile $(PROFILE)
	python3 tools/dist/dist.py --binaries target/$(PROFILE_FOLDER)

.PHONY: versions
versions: ## That every place says the version of Cargo.toml; SET=0.2.0 sets it everywhere
	python3 tools/dist/versions.py $(SET)

## Slow parts

.PHONY: e2e
e2e: setup-test ## The whole system from outside on every picture, on a real S3 server (target/e2e.json)
	$(SETUP) python-clients s3 grpcurl
	$(PROGRAMS)
	$(DEV) run rabbitmq milvus milvus-lite s3 -- .local/venv-clients/bin/python tests/e2e/run.py
	python3 tests/e2e/grpcurl.py

# A tag or commit whose programs stand for the older version.
OLD := HEAD~50

.PHONY: skew-binaries
skew-binaries: setup
	rm -rf target/skew-source
	git worktree prune
	git worktree add --force --detach target/skew-source $(OLD)
	ln -s $(CURDIR)/.local target/skew-source/.local
	cd target/skew-source && cargo build --locked --target-dir $(CURDIR)/target/skew-build \
		-p sightline-coordinator -p sightline-worker --bins
	rm target/skew-source/.local
	git worktree remove --force target/skew-source

.PHONY: skew
skew: setup-test skew-binaries ## An older version (OLD=tag) beside this one, either way, and replaced in a run (target/skew.json)
	$(SETUP) python-clients
	cargo build --locked $(SERVICES) --bins
	$(DEV) run rabbitmq milvus-lite moto -- .local/venv-clients/bin/python tests/e2e/skew.py --old target/skew-build/debug

.PHONY: query-property
query-property: setup-test ## 10,000 generated queries on each engine against brute force
	cargo test --locked -p sightline-gateway --no-run
	$(DEV) run milvus-lite -- env SIGHTLINE_QUERY_CASES=$(or $(CASES),10000) \
		cargo test --locked -p sightline-gateway --test it -- --nocapture generated_queries

.PHONY: scenario-medical
scenario-medical: setup-test ## A medical-imaging team's collection, loaded, searched and read (target/scenario-medical.json)
	$(SETUP) python-clients
	cargo build --locked $(SERVICES) --bins
	$(DEV) run rabbitmq milvus-lite moto -- .local/venv-clients/bin/python tests/scenarios/medical_images_v1.py

.PHONY: fuzz-filter
fuzz-filter: ## The filter parser under libFuzzer for ten minutes (SECONDS_OF_FUZZ=600), from the committed corpus
	crates/core/fuzz/run.sh $(or $(SECONDS_OF_FUZZ),600)

.PHONY: filter-values
filter-values: setup-test ## 10,000 filters with hostile names and values on each index against the evaluator in memory (CASES)
	cargo test --locked -p sightline-index --test conformance --no-run
	$(DEV) run milvus milvus-lite -- env SIGHTLINE_FILTER_CASES=$(or $(CASES),10000) \
		cargo test --locked -p sightline-index --test conformance -- any_filter_means

.PHONY: simulate
simulate: setup ## The protocol under SEEDS=10000 seeded storms of crashes and faults (target/simulation.json); FIRST_SEED=N
	SIGHTLINE_TEST_SEEDS=$(or $(SEEDS),10000) SIGHTLINE_TEST_FIRST_SEED=$(or $(FIRST_SEED),0) \
		cargo test --locked -p sightline-simulation no_interleaving -- --nocapture

.PHONY: faults
faults: faults-binaries ## Every fault injected into runs of 2,000 items on real servers (target/faults.json); ONLY=1,7 adds to it; SEED=N
	$(SETUP) faketime
	$(DEV) run rabbitmq milvus moto -- env $(FAULTY_BINARIES) .local/venv-clients/bin/python tests/faults/run.py \
		$(if $(ONLY),--only $(ONLY)) $(if $(SEED),--seed $(SEED))

.PHONY: parity
parity: setup parity-pictures ## Every architecture against what transformers makes of it (target/parity.json), and pictures
	cargo test --locked -p sightline-models --test it

.PHONY: parity-pictures
parity-pictures: setup ## 671 real pictures of every format against Pillow's pixels (target/parity-pictures.json)
	$(SETUP) python-clients
	cargo build --locked --bin sightline
	.local/venv-clients/bin/python tests/parity/real_pictures.py

.PHONY: parity-dicoms
parity-dicoms: ## pydicom's own DICOM files against pydicom's pixels (target/parity-dicoms.json)
	$(SETUP) build-tools python-dicom
	cargo build --locked -p sightline-pictures --example decode
	.local/venv-dicom/bin/python tests/parity/real_dicoms.py

.PHONY: export-test
export-test: setup ## The export tool on a model of remote code, through `sightline embed`; fetches torch, 5 GB
	$(SETUP) --room $(ROOM_FOR_TORCH) python-torch
	cargo build --locked --bin sightline
	SIGHTLINE=target/debug/sightline .local/venv-torch/bin/python tools/export_torchscript/test_export.py

.PHONY: bench-models
bench-models: setup ## Our encoders against transformers, side by side (target/bench/models.json); fetches torch, 5 GB
	$(SETUP) --room $(ROOM_FOR_TORCH) python-torch
	cargo build --locked -p sightline-models --example throughput
	.local/venv-torch/bin/python bench/models/run.py $(if $(DEVICE),--device $(DEVICE))

.PHONY: bench-ingest
bench-ingest: setup-test ## From S3 to the index: our worker, a Python pipeline, the model alone (target/bench/ingest.json); ITEMS, ROUNDS; fetches torch, 5 GB
	$(SETUP) --room $(ROOM_FOR_TORCH) python-clients python-torch s3
	cargo build --locked --release --workspace --bin sightline-worker --bin sightline-coordinator --example throughput
	$(DEV) run rabbitmq milvus s3 -- env SIGHTLINE_BINARIES=target/release .local/venv-torch/bin/python bench/ingest/run.py \
		--items $(or $(ITEMS),640) --rounds $(or $(ROUNDS),5)

.PHONY: bench-memory
bench-memory: setup-test ## The worker's memory with huge and with many pictures (target/bench/memory.json, memory.svg); ITEMS; fetches torch, 5 GB
	$(SETUP) --room $(ROOM_FOR_TORCH) python-clients python-torch s3
	cargo build --locked --release --workspace --bin sightline-worker --bin sightline-coordinator
	$(DEV) run rabbitmq milvus s3 -- env SIGHTLINE_BINARIES=target/release .local/venv-torch/bin/python bench/memory/run.py \
		--items $(or $(ITEMS),50000)

.PHONY: bench-scale
bench-scale: setup-test ## 1 to 16 workers on one broker and index, with a stand-in for the model (target/bench/scale.json); WORKERS, ITEMS, IN_HAND=1
	$(SETUP) python-clients s3
	cargo build --locked --release --workspace --bin sightline-coordinator --example stand_in_worker --example rate
	$(DEV) run rabbitmq milvus s3 -- env SIGHTLINE_BINARIES=target/release .local/venv-clients/bin/python bench/scale/run.py \
		--workers $(or $(WORKERS),1$(COMMA)2$(COMMA)4$(COMMA)8$(COMMA)16) --items $(or $(ITEMS),3200) \
		$(if $(IN_HAND),--only-in-hand)

.PHONY: bench-decode
bench-decode: setup ## What fast decoding gains in time and costs in vectors (target/bench/decode.json)
	$(SETUP) python-clients
	cargo build --locked --bin sightline
	cargo build --locked -p sightline-pictures --example decode_speed
	.local/venv-clients/bin/python bench/decode/run.py

.PHONY: bench-query
bench-query: setup-test ## Searches against Milvus called directly and brute force (target/bench/query.json); ITEMS, DIMENSION, QUERIES
	$(SETUP) python-clients ghz
	cargo build --locked --release --workspace --bin sightline-gateway --example fill
	$(DEV) run milvus milvus-lite -- env SIGHTLINE_BINARIES=target/release .local/venv-clients/bin/python bench/query/run.py \
		--items $(or $(ITEMS),100000) --dimension $(or $(DIMENSION),256) --queries $(or $(QUERIES),200)

# The engine that tests start is an example, which is built first: a run of tests alone would not.
COVERAGE := cargo tarpaulin --locked --workspace --engine llvm --skip-clean --target-dir target/coverage
TEST_ENGINE := target/coverage/debug/examples/test_engine

.PHONY: bench-plan
bench-plan: setup-test ## Planning a million objects against a plain LIST loop (target/bench/plan.json); OBJECTS, ROUNDS
	$(SETUP) python-clients s3
	cargo build --locked --release -p sightline-coordinator --bins
	cargo build --locked --release -p sightline-objects --example list
	$(DEV) run rabbitmq s3 -- env SIGHTLINE_BINARIES=target/release .local/venv-clients/bin/python bench/plan/run.py \
		--objects $(or $(OBJECTS),1000000) --rounds $(or $(ROUNDS),3)

.PHONY: coverage
coverage: setup-test ## Lines covered, by crate (installs cargo-tarpaulin)
	cargo tarpaulin --version >/dev/null 2>&1 || cargo install --locked cargo-tarpaulin
	$(COVERAGE) --no-run --run-types tests
	flags=$$(cargo tarpaulin --print-rust-flags --engine llvm 2>/dev/null | grep ^RUSTFLAGS=) && eval "export $$flags" \
		&& cargo build --locked --workspace --target-dir target/coverage --example test_engine
	$(DEV) run rabbitmq milvus milvus-lite moto -- $(COVERAGE) --run-types tests --timeout 900 --no-fail-fast \
		--objects $(TEST_ENGINE) --out json --output-dir target
	python3 deploy/setup/coverage_by_crate.py target/tarpaulin-report.json

.PHONY: doc
doc: setup ## Documentation, warnings denied
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps

.PHONY: deny
deny: ## Licences, sources and bans of dependencies (installs cargo-deny)
	cargo deny --version >/dev/null 2>&1 || cargo install --locked cargo-deny
	cargo deny check bans licenses sources
