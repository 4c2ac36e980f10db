#!/bin/sh
# Makes sure that Chromium is there for what needs it: installs it where it may, otherwise says what to do.
set -eu

for name in chromium chromium-browser google-chrome google-chrome-stable chrome; do
    command -v "$name" >/dev/null 2>&1 && exit 0
done
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    echo "installing: chromium" >&2
    apt-get update -q >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends chromium >/dev/null
else
    echo "error: there is no Chromium" >&2
    echo "hint: on Debian or Ubuntu: sudo apt-get install chromium; on Fedora: sudo dnf install chromium" >&2
    exit 1
fi
