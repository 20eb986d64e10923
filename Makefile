# What people do here, one target each. `make` alone lists them.

DEMO_FROM ?= 2013-01-01
DEMO_TO ?= 2013-01-07
DEMO_DIR ?= target/demo
TOWPATH := target/release/towpath

.PHONY: help
help: ## List the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: build
build: ## Build the release binary.
	cargo build --release --locked -p towpath-cli

.PHONY: demo
demo: build ## Run a week of the flights pipeline, with nothing but cargo and make.
	@mkdir -p "$(DEMO_DIR)"
	@dir="$$(cd "$(DEMO_DIR)" && pwd)"; \
	TOWPATH_VAR_WAREHOUSE_URL="sqlite:///$$dir/warehouse.db" TOWPATH_VAR_DASHBOARD="$$dir/dashboard.html" \
	$(TOWPATH) dag run examples/flights/flights.yaml --from $(DEMO_FROM) --until $(DEMO_TO) \
	    --home "$$dir" --keep && \
	echo && echo "warehouse  $$dir/warehouse.db" && echo "dashboard  $$dir/dashboard.html" && \
	echo "logs       $$dir/logs"

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
	@echo "The stack is up. To use it from here: set -a; . docker/local.env; set +a"

.PHONY: down
down: ## Stop the stack; its data stays.
	$(COMPOSE) down

.PHONY: test
test: ## Check format and lints, and run all tests; installs and starts what they need.
	tests/install.sh
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- --deny warnings
	cargo build --workspace --locked
	target/debug/with-services cargo nextest run --workspace --locked

.PHONY: docs
docs: ## Write the documents that are made from the code.
	UPDATE_DOCUMENTS=1 cargo nextest run -p towpath-tests documents
