# What people do here, one target each. `make` alone lists them.

DEMO_FROM ?= 2013-01-01
DEMO_TO ?= 2013-01-07
DEMO_DIR ?= target/demo
# Where the demo serves the UI; empty: it does not.
DEMO_SERVE ?= 127.0.0.1:8080
TOWPATH := target/release/towpath

.PHONY: help
help: ## List the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# Built once, and again when what it is made from has changed: the binary embeds it and would be built again, too.
UI_SOURCES := $(shell find ui/src ui/public -type f) ui/index.html ui/package.json ui/tsconfig.json ui/package-lock.json ui/vite.config.ts docs/openapi.json
NODE_SUITS := node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 22 || (a === 22 && b >= 12) || (a === 20 && b >= 19) ? 0 : 1)'

ui/dist/index.html: $(UI_SOURCES)
	cd ui && npm ci --no-audit --no-fund --silent && npm run --silent types && npm run --silent build
	@touch $@

.PHONY: ui
ui: ui/dist/index.html ## Build the web UI into ui/dist, from where the binary embeds it; needs Node 20.19 and npm.

# Without npm the binary has a page that says how to get the UI.
.PHONY: build
build: ## Build the release binary, with the web UI where npm is there.
	@if command -v npm >/dev/null && $(NODE_SUITS); then $(MAKE) --no-print-directory ui; \
	else echo "Node 20.19 or newer with npm is not there: the web UI is left out"; fi
	cargo build --release --locked -p towpath-cli

.PHONY: demo
demo: build ## Run a week of the flights pipeline, with nothing but cargo and make, then serve the UI.
	@mkdir -p "$(DEMO_DIR)"
	@dir="$$(cd "$(DEMO_DIR)" && pwd)"; \
	export TOWPATH_VAR_WAREHOUSE_URL="sqlite:///$$dir/warehouse.db" TOWPATH_VAR_DASHBOARD="$$dir/dashboard.html"; \
	unset TOWPATH_DATABASE_URL TOWPATH_SERVER; \
	$(TOWPATH) dag run examples/flights/flights.yaml --from $(DEMO_FROM) --until $(DEMO_TO) \
	    --home "$$dir" --keep && \
	echo && echo "warehouse  $$dir/warehouse.db" && echo "dashboard  $$dir/dashboard.html" && \
	echo "logs       $$dir/logs" && echo && \
	if [ -z "$(DEMO_SERVE)" ]; then exit; fi; \
	$(TOWPATH) standalone --dags examples/flights --home "$$dir" --listen "$(DEMO_SERVE)" --no-auth

.PHONY: bench
bench: ## Measure; prints a table and writes target/bench.json. PARTS="core schedules" for some.
	cargo build --release --locked -p towpath-cli -p towpath-tests
	target/release/bench $(PARTS)

COMPOSE ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)

.PHONY: up
up: ## Start the real stack with docker compose, and wait until it is healthy.
	@mkdir -p logs
	$(COMPOSE) build
	$(COMPOSE) up --detach
	@$(COMPOSE) ps -q | docker/wait-healthy.sh 60
	@echo "The stack is up: http://127.0.0.1:28080, user admin, password towpath-admin."
	@echo "To use it from here: set -a; . docker/local.env; set +a"

WORKERS ?= 3

.PHONY: scale
scale: ## Run WORKERS replicas of the worker.
	$(COMPOSE) up --detach --scale worker=$(WORKERS)

.PHONY: down
down: ## Stop the stack; its data stays.
	$(COMPOSE) down

.PHONY: test
test: ## Check format and lints, and run all tests; installs and starts what they need.
	tests/install.sh
	$(MAKE) --no-print-directory ui
	git diff --exit-code -- ui/src/api/schema.ts
	cd ui && npm test --silent
	cargo fmt --all --check
	export RUSTC_WORKSPACE_WRAPPER="$(CURDIR)/tests/rustc-with-clippy.sh"; \
	cargo build --workspace --all-targets --locked && \
	target/debug/with-services cargo nextest run --workspace --locked

SEED ?= 1

.PHONY: sim
sim: ## Play Towpath in simulated time with faults drawn from SEED, and print all that happens.
	cargo run --quiet -p towpath-simulation -- $(SEED) --trace

.PHONY: sim-mutants
sim-mutants: ## Break Towpath in places that matter, in a copy, and see the simulation find it.
	simulation/mutants.sh

TARGETS ?= dag_file cron template message task_output
SECONDS ?= 600

.PHONY: fuzz
fuzz: ## Try for SECONDS each what fuzz TARGETS make of what nobody would write.
	set -e; for target in $(TARGETS); do \
	    seeds=fuzz/seeds/$$target; [ -d $$seeds ] || seeds=examples/semantics; \
	    mkdir -p fuzz/corpus/$$target; \
	    CARGO_TARGET_DIR=target/fuzz cargo fuzz run $$target --sanitizer none fuzz/corpus/$$target $$seeds \
	        -- -timeout=10 -max_total_time=$(SECONDS); \
	done

MINUTES ?= 3

.PHONY: soak
soak: ## Work for MINUTES while services, workers, networks and disks are struck, by SEED, and see that nothing is lost.
	tests/install.sh
	cargo build --workspace --locked
	target/debug/soak $(MINUTES) $(SEED)

.PHONY: docs
docs: ## Write the documents that are made from the code.
	UPDATE_DOCUMENTS=1 cargo nextest run -p towpath-tests documents
	cd ui && npm run --silent types
