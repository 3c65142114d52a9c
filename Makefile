# make run    set up, build, run the flagship scenario; results go to runs/
# make test   all tests, on a real stack
# make lint   formatting and clippy, warnings are errors
# make clean  everything that was built, downloaded or recorded here

SHELL := /bin/bash
# A Rust that was installed a moment ago is not on this shell's PATH yet.
export PATH := $(PATH):$(HOME)/.cargo/bin
SCENARIO ?= scenarios/broker-outage.toml

.PHONY: run test lint clean install

install:
	@stack/install.sh

run: install
	cargo build --release
	target/release/outbox-harness run $(SCENARIO) --out runs

test: install
	cargo test --workspace

lint: install
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

clean:
	cargo clean
	rm -rf .stack runs
