#!/usr/bin/env python3
"""Minecraft's technology tree: in how many rounds of writing an agent with an empty home learns to make tools, and what its skills are worth
in fresh worlds.

    python3 bench/minecraft.py [--seeds 3] [--first-seed 11] [--minutes 20] [--arm ARM] [--worlds 3] [--json]
                               [--set KEY=VALUE] [--keep DIRECTORY] [--program target/debug/sojourn]

For each learning seed the script makes an empty home, lets an agent live in the small world for at most `--minutes`, and reads its log. Then
the learned skills play `--worlds` worlds that learning cannot draw (seeds from `--first-world` on), without a model and without learning.
Needs `sojourn environments install minecraft`.

A round of writing is one request for programs: one program in a task's first round, four in the others. VOYAGER (arXiv 2305.16291) counts
its prompting iterations alike, with one program each. `tried` also counts batches of programs that no model wrote. Game time is that of the
run's own episodes; practice and trials are not in it.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOOLS = {
    "wooden": ["craft_wooden_pickaxe", "craft_wooden_sword", "craft_wooden_axe", "craft_wooden_shovel"],
    "stone": ["craft_stone_pickaxe", "craft_stone_sword", "craft_stone_axe", "craft_stone_shovel"],
    "iron": ["craft_iron_pickaxe", "craft_iron_sword", "craft_iron_axe"],
    "diamond": ["collect_diamond"],
}
# VOYAGER's iterations with GPT-4 to tools of wood, stone and iron, table 1; without its library; None: never.
VOYAGER = {"wooden": 6, "stone": 11, "iron": 21}
NO_MODEL = ["run.actor.follow_recipes=true", "run.actor.rounds=0", "run.deliberate=false", "run.memory=false"]
# What is measured, and the settings that make it so.
ARMS = {
    "model": [],
    "recipes": NO_MODEL,
    "without-library": ["run.library=false"],
    # Nothing is admitted unverified; the least that the program allows is one practice world.
    "one-trial": ["run.actor.admission.worlds=1", "run.actor.admission.needed=1"],
    "without-curriculum": ["run.curriculum=false"],
}
FRESH = ["run.learning=false", "run.deliberate=false", "run.memory=false", "run.frames=off"]


def records(sojourn, run):
    """The records of a run, in order."""
    process = subprocess.Popen([*sojourn, "log", run, "--json"], stdout=subprocess.PIPE, text=True)
    with process.stdout as lines:
        yield from map(json.loads, lines)
    if process.wait() != 0:
        sys.exit(f"the log of {run} cannot be read")


def lived(log):
    """What happened in a run: when each task was reached for the first time, what was learned, and the distinct items held."""
    begun = None
    now = dict.fromkeys(["requests", "rounds", "programs", "tried", "steps", "tokens"], 0)
    clock, before, episode = 0, 0, -1
    reached, skills, given_up, items, curve, episodes = {}, [], [], set(), [], []
    for record in log:
        kind, payload = record["kind"], record["payload"]
        begun = begun or record["at_ms"]
        if kind == "episode_started":
            before, clock, episode = before + clock, 0, episode + 1
            episodes.append({"seed": payload["seed"], "reached": {}})
        elif kind == "ask_controller":
            now["requests"] += 1
            if payload["purpose"] == "write":
                now["rounds"] += 1
        elif kind == "controller_answered":
            now["tokens"] += payload["reply"]["usage"]["completion_tokens"]
        elif kind == "try_candidates":
            now["tried"] += 1
            now["programs"] += len(payload["plan"]["candidates"])
        elif kind == "stepped":
            now["steps"] += 1
            change = payload.get("change") or {}
            clock = change.get("seconds", clock)
            fresh = {name for name, count in (change.get("inventory") or {}).items() if count} - items
            if fresh:
                items |= fresh
                curve.append({"rounds": now["rounds"], "requests": now["requests"], "items": len(items)})
            for task in payload.get("unlocked") or []:
                when = {**now, "seconds": round((record["at_ms"] - begun) / 1000), "game_seconds": before + clock}
                reached.setdefault(task, when)
                episodes[-1]["reached"].setdefault(task, clock)
        elif kind == "report_milestone":
            milestone = payload["milestone"]
            if milestone["milestone"] == "skill_admitted":
                skills.append({"skill": milestone["skill"], "verified": milestone["verified"], "steps": milestone["steps"],
                               "rounds": milestone["rounds"], "after_rounds": now["rounds"]})
            elif milestone["milestone"] == "skill_given_up":
                given_up.append(milestone["task"])
    return {"totals": now, "reached": reached, "skills": skills, "given_up": given_up, "items": sorted(items), "curve": curve,
            "episodes": episodes, "game_seconds": before + clock}


def first(reached, level):
    """When the first tool of a level was made, or None."""
    made = [reached[task] for task in TOOLS[level] if task in reached]
    return min(made, key=lambda when: when["steps"] if isinstance(when, dict) else when) if made else None


def run(options, home, arguments, sets):
    """Runs an agent in a home and reads what it lived through."""
    sojourn = [options.program, "--home", str(home)]
    sets = sum((["--set", one] for one in sets), [])
    ran = subprocess.run([*sojourn, "run", "minecraft", "--unsupervised", *arguments, *sets], capture_output=True, text=True)
    if ran.returncode != 0:
        return {"error": ran.stderr[-800:]}
    return lived(records(sojourn, "latest"))


def measure(options, seed, home):
    """Learns with a seed, then plays fresh worlds with the skills."""
    begun = time.monotonic()
    learning = ["run.frames=off", *ARMS[options.arm], f"run.seed={seed}", *options.set]
    learned = run(options, home, ["--time", f"{round(options.minutes * 60)}s"], learning)
    result = {"seed": seed, "seconds": round(time.monotonic() - begun), **learned}
    if learned.get("skills") and options.worlds:
        worlds = list(range(options.first_world, options.first_world + options.worlds))
        result["fresh"] = run(options, home, [], [*FRESH, f"run.seed={seed}", f"run.episodes={worlds}", *options.set])
    return result


def show(results):
    """A table for people."""
    print("| learning seed | level | rounds of writing | programs tried | after, s | game time, s | VOYAGER's iterations | fresh worlds (game s) |")
    print("|---|---|---|---|---|---|---|---|")
    for result in results:
        if "error" in result:
            print(f"| {result['seed']} | error: {result['error'].strip().splitlines()[-1:]} |")
            continue
        fresh = result.get("fresh", {}).get("episodes", [])
        for level in TOOLS:
            when = first(result["reached"], level)
            cells = [when["rounds"], when["programs"], when["seconds"], when["game_seconds"]] if when else ["–"] * 4
            times = [first(episode["reached"], level) for episode in fresh]
            made = [time for time in times if time is not None]
            worlds = f"{len(made)} of {len(times)}" + (f" ({statistics.median(made):.0f})" if made else "")
            print("|", " | ".join(map(str, [result["seed"], level, *cells, VOYAGER.get(level, "–"), worlds])), "|")
    for result in results:
        if "error" not in result:
            print(f"seed {result['seed']}: {len(result['skills'])} skills, {len(result['items'])} distinct items, {result['totals']}, "
                  f"given up {result['given_up']}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="number of learning seeds")
    parser.add_argument("--first-seed", type=int, default=11, help="the first learning seed; the others follow")
    parser.add_argument("--minutes", type=float, default=20, help="of learning, at most")
    parser.add_argument("--arm", choices=ARMS, default="model", help="`model` is the agent as it is; `recipes` asks no model")
    parser.add_argument("--worlds", type=int, default=3, help="fresh worlds in which the skills are used")
    parser.add_argument("--first-world", type=int, default=1, help="the seed of the first fresh world; the others follow")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a key of the agent file; repeatable")
    parser.add_argument("--keep", type=pathlib.Path, help="where the homes are kept, one for each seed")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--program", default=str(ROOT / "target/debug/sojourn"))
    options = parser.parse_args()
    results = []
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        with tempfile.TemporaryDirectory() as directory:
            home = (options.keep or pathlib.Path(directory)) / f"{options.arm}-{seed}"
            results.append(measure(options, seed, home))
        print(f"seed {seed}: {json.dumps(results[-1])[:400]}", file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps({"arm": options.arm, "minutes": options.minutes, "server": "the small world (flying-squid 1.16.5)",
                          "voyager": VOYAGER, "runs": results}, indent=1))
    else:
        show(results)


if __name__ == "__main__":
    main()
