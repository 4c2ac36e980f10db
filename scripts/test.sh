#!/bin/sh
# Runs the tests of the workspace: all of them, or with --quick those that need no model, no browser and no network.
# Those that need one are in modules named with_model, with_browser and with_network. cargo-nextest runs them where it is
# installed, cargo otherwise; further arguments are given to it.
set -eu
cd "$(dirname "$0")/.."

quick=
if [ "${1:-}" = --quick ]; then
    quick=yes
    shift
fi
if cargo nextest --version >/dev/null 2>&1; then
    if [ -n "$quick" ]; then
        set -- -E 'not test(/(^|::)with_(model|browser|network)::/)' "$@"
    fi
    cargo nextest run --workspace "$@"
    # It runs no examples of documentation.
    cargo test --workspace --doc --quiet
else
    if [ -n "$quick" ]; then
        set -- "$@" -- --skip with_model:: --skip with_browser:: --skip with_network::
    fi
    cargo test --workspace --no-fail-fast "$@"
fi
