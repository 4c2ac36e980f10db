# Two commands do everything: `make demo` and `make test`.
# Both build the same packages with the same profile, so that native code is compiled once.

DEMO_MINUTES ?= 10
DEMO_HOME ?= $(CURDIR)/runs/demo
SOJOURN = target/debug/sojourn

.PHONY: demo test lint build prerequisites

demo: build
	$(SOJOURN) --home $(DEMO_HOME) run examples/crafter/agent.toml --pull --time $(DEMO_MINUTES)m

# Tests with a real model use the one that the product pulls (once, into the user's cache directory). The last line is apart
# because nothing else needs gRPC: the product is tested as it is built.
test: build
	$(SOJOURN) models pull qwen2.5-coder-1.5b-instruct
	$(SOJOURN) models pull all-minilm-l6-v2
	@scripts/chromium.sh && $(SOJOURN) environments install miniwob || \
		echo "note: what needs a browser is not tested" >&2
	@scripts/validate-skills.sh --install || echo "note: exported skills are not validated by skills-ref in these tests" >&2
	cargo test --workspace
	cargo test -p sojourn-memory --features qdrant-contract --test qdrant

lint: prerequisites
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

build: prerequisites
	cargo build --workspace

prerequisites:
	@scripts/prerequisites.sh
