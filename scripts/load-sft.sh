#!/bin/sh
# Reads conversations of `sojourn log export --format sft --images DIR` with Hugging Face's `datasets`, in a Python environment of its
# own in the user's cache directory, and prints what it read as JSON. Exits with 0 if every picture of every file was decoded, 1 if
# something is wrong, and 3 if the package cannot be had. With --install instead of files it only makes sure that it is there.
set -eu

if [ $# -eq 0 ]; then
    echo "usage: $0 SFT.jsonl... | --install" >&2
    exit 2
fi
. "$(dirname "$0")/package_venv.sh"
package_venv datasets 5.2.0 pillow || exit 3
[ "$1" = --install ] && exit 0
# It looks for nothing on the network, and keeps nothing outside of this folder.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
HF_HOME="$scratch" HF_DATASETS_OFFLINE=1 HF_HUB_OFFLINE=1 "$venv/bin/python" "$(dirname "$0")/load_sft.py" "$@"
