# make run    set up, build, run the flagship scenario; results go to runs/
# make demo   a dual write loses events beside two outboxes that keep them, in under a minute; keys break things
# make test   all tests, on a real stack
# make lint   formatting, clippy, links in the docs, scripts, dependencies; warnings are errors
# make clean  everything that was built, downloaded or recorded here
# make claims  what is said of the outbox, each tried three times by a scenario: docs/claims.md (under 30 minutes)
# make test-scenarios   every shipped scenario whole: exit code, each fault's bite, its lesson
# make test-moments     kill -9 of the harness at twenty moments of a run: nothing is left
# make test-relays      the relays of relays/external, those whose toolchain is there
# make test-postgres-matrix   a short run on every version of PostgreSQL that is supported

SHELL := /bin/bash
# A Rust that was installed a moment ago is not on this shell's PATH yet.
export PATH := $(PATH):$(HOME)/.cargo/bin
SCENARIO ?= scenarios/broker-outage.toml
# Of make claims: how often each scenario is run.
ROUNDS ?= 3
# Tests on the stack wait more than they work; whole runs, which work, take turns by themselves.
TEST_THREADS := $(shell n=$$(nproc); echo $$((n > 1 ? 2 * n : 1)))

.PHONY: run demo claims test test-scenarios test-moments test-relays test-postgres-matrix lint clean install redis redis-if-wanted rabbitmq rabbitmq-if-wanted

install:
	@stack/install.sh

# Tests that need it and do not find it say so by name.
redis:
	@stack/install.sh redis || true

# Redis, where a strategy of the scenario has a cache.
redis-if-wanted:
	@! grep -rqsE '^[[:space:]]*cache[[:space:]]*=' $(SCENARIO) || stack/install.sh redis

rabbitmq:
	@stack/install.sh rabbitmq || true

# RabbitMQ, where a strategy of the scenario publishes to it.
rabbitmq-if-wanted:
	@! grep -rqsE '^[[:space:]]*broker[[:space:]]*=[[:space:]]*"rabbitmq"' $(SCENARIO) || stack/install.sh rabbitmq

# make ends with 2 whatever the program ended with: where its exit code matters, call cargo as here.
run: install redis-if-wanted rabbitmq-if-wanted
	cargo run --release --locked -- run $(SCENARIO) --out runs

demo: install
	cargo run --release --locked -- demo --out runs

# The page is written also where a claim did not hold, and make ends with an error then.
claims: install redis
	mkdir -p runs/claims
	rm -f runs/claims/records.json
	scenarios=$$(cargo run --release --locked --quiet -- claims) && \
		cargo run --release --locked -- run $$scenarios --repeat $(ROUNDS) \
		--out runs/claims --json runs/claims/records.json || true
	cargo run --release --locked -- claims runs/claims/records.json --page docs/claims.md

test: install redis rabbitmq
	RUST_TEST_THREADS=$(TEST_THREADS) cargo test --workspace --locked --no-fail-fast

test-scenarios: install redis rabbitmq
	OUTBOX_HARNESS_SCENARIOS=1 cargo test --release --locked -p outbox-harness --test scenarios

test-moments: install
	OUTBOX_HARNESS_MOMENTS=20 cargo test --workspace --locked --test whole_run -- moments

test-relays: install
	OUTBOX_HARNESS_RELAYS=1 cargo test --release --locked -p outbox-harness --test external_relays

test-postgres-matrix: install
	stack/postgres-matrix.sh

lint: install
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" cargo doc --workspace --no-deps --locked
	.ci/lint

clean:
	cargo clean
	rm -rf .stack runs
