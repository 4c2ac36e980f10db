#!/bin/sh
# Checks Agent Skills folders with the reference validator (PyPI: skills-ref), in a Python environment of its own in the
# user's cache directory. Exits with 0 if all are valid, 1 if one is not, and 3 if the validator cannot be had. With
# --install instead of folders it only makes sure that the validator is there.
set -eu

if [ $# -eq 0 ]; then
    echo "usage: $0 FOLDER... | --install" >&2
    exit 2
fi
. "$(dirname "$0")/package_venv.sh"
package_venv skills-ref 0.1.1 || exit 3
[ "$1" = --install ] && exit 0
status=0
for folder in "$@"; do
    "$venv/bin/agentskills" validate "$folder" || status=1
done
exit $status
