#!/bin/sh
# Makes the pictures of the documentation again: recordings of `make demo` and of `sojourn replay`, and the graph of the
# skills that the demo learned. Needs tmux and python3, and takes as long as the demo, `DEMO_MINUTES` (10).
#
#     scripts/pictures.sh                       # builds first
#     SOJOURN=path/to/sojourn scripts/pictures.sh
set -eu
cd "$(dirname "$0")/.."

for program in tmux python3; do
    command -v "$program" >/dev/null || { echo "error: there is no $program" >&2; exit 1; }
done
if [ -z "${SOJOURN:-}" ]; then
    make prerequisites
    cargo build --bin sojourn
    SOJOURN=${CARGO_TARGET_DIR:-target}/debug/sojourn
fi
minutes=${DEMO_MINUTES:-10}
images=docs/src/images
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
"$SOJOURN" models pull qwen2.5-coder-1.5b-instruct
"$SOJOURN" models pull all-minilm-l6-v2

# What `make demo` does after the build, in a home of its own.
scripts/record.py --out "$images/demo.svg" --title "make demo" --seconds $((minutes * 60 + 120)) -- \
    "$SOJOURN" --home "$home" run examples/crafter/agent.toml --time "${minutes}m"
scripts/record.py --out "$images/replay.svg" --title "sojourn replay latest" --seconds 44 --play 40 --rows 30 --key 40:q -- \
    "$SOJOURN" --home "$home" replay latest --speed 16
"$SOJOURN" --home "$home" skills graph --format svg --output "$images/skills.svg"
