# `make demo` and `make test` do everything; `make check` is what to run before every commit.
# All build the same packages with the same profile and features, so that each is compiled once.

DEMO_MINUTES ?= 3
DEMO_HOME ?= $(CURDIR)/runs/demo
SOJOURN = $(or $(CARGO_TARGET_DIR),target)/debug/sojourn

.PHONY: demo test check lint prerequisites

demo: prerequisites
	cargo build --bin sojourn
	DEMO_MINUTES=$(DEMO_MINUTES) scripts/demo.sh $(SOJOURN) $(DEMO_HOME)

# Everything. Tests with a real model use the one that the product pulls (once, into the user's cache directory).
test: prerequisites
	cargo build --bin sojourn
	$(SOJOURN) models pull qwen2.5-coder-1.5b-instruct
	$(SOJOURN) models pull all-minilm-l6-v2
	@scripts/chromium.sh && $(SOJOURN) environments install miniwob || \
		echo "note: what needs a browser is not tested" >&2
	@scripts/validate-skills.sh --install || echo "note: exported skills are not validated by skills-ref in these tests" >&2
	@scripts/load-sft.sh --install || echo "note: exported conversations are not read by datasets in these tests" >&2
	scripts/test.sh

# What needs no model, no browser and no network.
check: lint
	cargo xtask tidy
	scripts/test.sh --quick

lint: prerequisites
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	@scripts/deny.sh || [ $$? = 3 ]

prerequisites:
	@scripts/prerequisites.sh
