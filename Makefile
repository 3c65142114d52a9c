# make run    set up, build, run the flagship scenario; results go to runs/
# make demo   a dual write loses events beside two outboxes that keep them, in under a minute; keys break things
# make test   all tests, on a real stack
# make lint   formatting, clippy, links in the docs, scripts, dependencies; warnings are errors
# make clean  everything that was built, downloaded or recorded here
# make claims  what is said of the outbox, each tried by a scenario: docs/claims.md (some 20 minutes; ROUNDS=3 for ranges)
# make test-scenarios   every shipped scenario whole: exit code, each fault's bite, its lesson
# make test-moments     kill -9 of the harness at twenty moments of a run: nothing is left
# make test-relays      the relays of relays/external, those whose toolchain is there
# make test-postgres-matrix   a short run on every version of PostgreSQL that is supported
# make test-docker      the stack in containers, where an engine answers and `make images` built the image
# make docker-engine    installs and starts a Docker engine where none answers (as root, on Debian or Ubuntu)
# make images           the servers as an image, and the program with them as another one: docs/docker.md
# make test-all         all of these and the claims, goes on after what fails, and ends with what could not be done here

SHELL := /bin/bash
# A Rust that was installed a moment ago is not on this shell's PATH yet.
export PATH := $(PATH):$(HOME)/.cargo/bin
SCENARIO ?= scenarios/broker-outage.toml
# Of make claims: how often each scenario is run.
ROUNDS ?= 1
SERVERS := redis rabbitmq nats eventbridge mariadb postgres-17
# Tests on the stack wait more than they work; whole runs, which work, take turns by themselves.
TEST_THREADS := $(shell n=$$(nproc); echo $$((n > 1 ? 4 * n : 1)))

.PHONY: run demo claims test test-scenarios test-moments test-relays test-postgres-matrix test-docker test-all docker-engine images lint clean install servers servers-if-wanted

install:
	@stack/install.sh

# Servers that only some scenarios use; tests that need one and do not find it say so by name.
servers:
	@for server in $(SERVERS); do stack/install.sh $$server || true; done

# Those of them that the scenario uses: a cache is in Redis, and a hot standby takes a newer PostgreSQL than most machines have.
servers-if-wanted:
	@! grep -rqsE '^[[:space:]]*cache[[:space:]]*=' $(SCENARIO) || stack/install.sh redis
	@! grep -rqsE '^[[:space:]]*hot_standby[[:space:]]*=[[:space:]]*true' $(SCENARIO) || stack/install.sh postgres-17
	@for server in $(filter-out redis postgres-17,$(SERVERS)); do \
		! grep -rqsE "^[[:space:]]*(broker|database)[[:space:]]*=[[:space:]]*\"$$server\"" $(SCENARIO) || \
		stack/install.sh $$server || exit 1; \
	done

# make ends with 2 whatever the program ended with: where its exit code matters, call cargo as here.
run: install servers-if-wanted
	cargo run --release --locked -- run $(SCENARIO) --out runs

demo: install
	cargo run --release --locked -- demo --out runs

# The page is written also where a claim did not hold, and make ends with an error then.
claims: install servers
	mkdir -p runs/claims
	rm -f runs/claims/records.json
	scenarios=$$(cargo run --release --locked --quiet -- claims) && \
		cargo run --release --locked -- run $$scenarios --repeat $(ROUNDS) \
		--out runs/claims --json runs/claims/records.json || true
	cargo run --release --locked -- claims runs/claims/records.json --page docs/claims.md

test: install servers
	RUST_TEST_THREADS=$(TEST_THREADS) cargo test --workspace --locked --no-fail-fast

test-scenarios: install servers
	OUTBOX_HARNESS_SCENARIOS=1 cargo test --release --locked -p outbox-harness --test scenarios

test-moments: install
	OUTBOX_HARNESS_MOMENTS=20 cargo test --workspace --locked --test whole_run -- moments

test-relays: install
	OUTBOX_HARNESS_RELAYS=1 cargo test --release --locked -p outbox-harness --test external_relays

test-postgres-matrix: install
	stack/postgres-matrix.sh

test-docker: install
	OUTBOX_HARNESS_DOCKER=1 cargo test --workspace --locked --test stack -- docker::

docker-engine:
	@stack/docker-engine.sh

images:
	@stack/images.sh

test-all:
	@.ci/all

# With the examples too, dependencies have the features that clippy has checked them with.
lint: install
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" \
		cargo doc --workspace --no-deps --lib --bin outbox-harness --examples --locked
	.ci/lint

clean:
	cargo clean
	rm -rf .stack runs
