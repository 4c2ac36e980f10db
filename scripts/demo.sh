#!/bin/sh
# The demo: an agent with ten learned skills lives, dies, learns and lives again for DEMO_MINUTES (3), and a picture of it is drawn.
#
#     scripts/demo.sh path/to/sojourn HOME_OF_THE_DEMO
set -eu
cd "$(dirname "$0")/.."
sojourn=$1
home=$2
minutes=${DEMO_MINUTES:-3}
agent=examples/crafter/demo.toml

echo "The agent of $agent, in $home."
if [ ! -e "$home/library" ]; then
    echo "It begins with ten skills that the same model wrote in an earlier run. Each must pass a trial in fresh worlds again:"
    "$sojourn" --home "$home" skills import examples/crafter/skills >/dev/null
    status=0
    tried=$("$sojourn" --home "$home" skills test --all --admit) || status=$?
    if [ "$status" -ne 0 ]; then
        printf '%s\n' "$tried"
        echo "The trials failed; remove $home to try again." >&2
        exit "$status"
    fi
    printf '%s\n' "$tried" | tail -n 1
else
    echo "It goes on with what earlier demos learned; remove $home to start again."
fi
echo
status=0
"$sojourn" --home "$home" run "$agent" --pull --time "${minutes}m" || status=$?
echo
echo "Lessons in words that it keeps of failures:"
"$sojourn" --home "$home" memory search "killed by a zombie" --kind reflection -k 3
echo
"$sojourn" --home "$home" replay latest --svg "$home/demo.svg"
exit "$status"
