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
