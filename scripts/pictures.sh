#!/bin/sh
# Makes the pictures of the documentation again: recordings of an agent that learns from nothing and of `sojourn replay`, the
# graph of the skills that it learned, and the picture of `make demo`. Needs tmux and python3, and takes as long as the run,
# `DEMO_MINUTES` (10), and the demo, three minutes.
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
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
# As a person has it: the program on the PATH, and a home that need not be named.
ln -s "$(realpath "$SOJOURN")" "$place/sojourn"
export PATH="$place:$PATH" SOJOURN_HOME="$place/home"
sojourn models pull qwen2.5-coder-1.5b-instruct
sojourn models pull all-minilm-l6-v2

scripts/record.py --out "$images/demo.svg" --title "sojourn run examples/crafter/agent.toml" --seconds $((minutes * 60 + 180)) -- \
    sojourn run examples/crafter/agent.toml --time "${minutes}m"
scripts/record.py --out "$images/replay.svg" --title "sojourn replay latest" --seconds 40 --rows 30 -- \
    sojourn replay latest --speed 16
sojourn skills graph --format svg --output "$images/skills.svg"
scripts/demo.sh "$place/sojourn" "$place/demo"
cp "$place/demo/demo.svg" "$images/life.svg"
