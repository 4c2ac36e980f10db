#!/bin/sh
# Checks Agent Skills folders with the reference validator (PyPI: skills-ref), in a Python environment of its own in the
# user's cache directory. Exits with 0 if all are valid, 1 if one is not, and 3 if the validator cannot be had. With
# --install instead of folders it only makes sure that the validator is there.
set -eu

if [ $# -eq 0 ]; then
    echo "usage: $0 FOLDER... | --install" >&2
    exit 2
fi
version=0.1.1
venv="${XDG_CACHE_HOME:-$HOME/.cache}/sojourn/skills-ref-$version"
if [ ! -x "$venv/bin/agentskills" ]; then
    echo "installing skills-ref $version into $venv" >&2
    if ! { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check "skills-ref==$version"; } >&2; then
        rm -rf "$venv"
        echo "skills-ref cannot be installed: offline, or no python3 with venv; nothing was validated" >&2
        exit 3
    fi
fi
[ "$1" = --install ] && exit 0
status=0
for folder in "$@"; do
    "$venv/bin/agentskills" validate "$folder" || status=1
done
exit $status
