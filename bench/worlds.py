#!/usr/bin/env python3
"""Worlds that nobody described: what an agent with an empty home learns of each, and what that is worth afterwards.

    python3 bench/worlds.py [--minutes 5] [--seeds 3] [--model] [--only NAME] [--without play] [--json]
                            [--python python3] [--program target/debug/sojourn]

For each world and learning seed the script makes an empty home, lets an agent live in the world for at most `--minutes`, and then
measures the skills that it has learned in 20 episodes that learning never sees, without a model. Needs `sojourn environments install
gym minigrid`, and for the games of TextWorldExpress a `--python` with `textworld-express` and Java. Those are learned in the games' own
layouts for training, and measured in those for testing; their score, from 0 to 1, is the return.
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
GAMES = ["cookingworld", "coin", "mapreader", "twc"]
# Instructions that a program may take in one call there: it reads many lines of text on each of a hundred steps.
FUEL = 20_000_000_000
# Stands for the layouts that the seeds of a program draw from: those for training, or those for testing.
FOLD = object()
WORLDS = {
    "FrozenLake 4x4": "gym:FrozenLake-v1?is_slippery=false",
    "FrozenLake 8x8": "gym:FrozenLake8x8-v1?is_slippery=false",
    "Taxi": "gym:Taxi-v4",
    "CartPole": "gym:CartPole-v1",
    "MiniGrid Empty-5x5": "gym:MiniGrid-Empty-5x5-v0",
    "MiniGrid DoorKey-5x5": "gym:MiniGrid-DoorKey-5x5-v0",
    "MiniGrid DoorKey-8x8": "gym:MiniGrid-DoorKey-8x8-v0",
    "BabyAI GoToObj": "gym:BabyAI-GoToObj-v0",
    "BabyAI GoToLocal": "gym:BabyAI-GoToLocal-v0",
    "BabyAI PickupLoc": "gym:BabyAI-PickupLoc-v0",
    "room with key and door": [ROOT / "examples/worlds/keys.py"],
    "text adventure": [ROOT / "examples/worlds/cellar.py"],
    **{f"TextWorldExpress {game}": [ROOT / "examples/worlds/textworld.py", game, FOLD] for game in GAMES},
}
# What is taken away, and the settings that do it.
WITHOUT = {"play": ["run.explore.episodes=0"]}


def agent_of(options, world, directory, fold):
    """The argument that names the world: itself, or an agent file for a program."""
    if isinstance(world, str):
        return world
    agent = pathlib.Path(directory) / f"{fold}.toml"
    command = [options.python, *(fold if part is FOLD else str(part) for part in world)]
    agent.write_text(f'[environment]\nkind = "process"\ncommand = {json.dumps(command)}\n')
    return str(agent)


def learn(options, world, seed):
    """Learns from nothing with a seed; returns what came of it."""
    with tempfile.TemporaryDirectory() as directory:
        agent, other = (agent_of(options, world, directory, fold) for fold in ("train", "test"))
        sojourn = [options.program, "--home", f"{directory}/home"]
        sets = [f"run.seed={seed}"]
        if not options.model:
            sets += ["run.actor.rounds=0", "run.deliberate=false", "run.memory=false"]
        for part in options.without:
            sets += WITHOUT[part]
        fuel = ["--set", f"run.actor.limits.fuel={FUEL}"] if isinstance(world, list) and FOLD in world else []
        arguments = sum((["--set", one] for one in sets), [])
        begun = time.monotonic()
        ran = subprocess.run([*sojourn, "run", agent, "--time", f"{round(options.minutes * 60)}s", "--unsupervised", *arguments, *fuel],
                             capture_output=True, text=True)
        seconds = time.monotonic() - begun
        if ran.returncode != 0:
            return {"seed": seed, "error": ran.stderr[-600:], "seconds": round(seconds, 1)}
        measured = subprocess.run([*sojourn, "bench", other, "--no-deliberation", "--episodes", str(options.episodes), "--json",
                                   *fuel],
                                  capture_output=True, text=True)
        if measured.returncode != 0 and "no skill was learned" in measured.stderr:
            return {"seed": seed, "seconds": round(seconds, 1), "success": 0.0}
        if measured.returncode != 0:
            return {"seed": seed, "error": measured.stderr[-600:], "seconds": round(seconds, 1)}
        return {"seed": seed, "seconds": round(seconds, 1), **summary(json.loads(measured.stdout))}


def summary(result):
    """Share of episodes in which the world's own goal was reached, and steps and return of an episode. Tasks that the agent made up
    for itself do not count."""
    goal = next((task for task in result["tasks"] if task["task"] == "succeed"), result["tasks"][0])
    return {"success": goal["reached_percent"] / 100, "steps": result["steps"]["mean"], "return": result["return"]["mean"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seeds", type=int, default=3, help="learning seeds, from 1 on")
    parser.add_argument("--episodes", type=int, default=20, help="episodes of a measurement")
    parser.add_argument("--model", action="store_true", help="with the default model; without it only what play finds is learned")
    parser.add_argument("--only", action="append", default=[], help="a world of the list; repeatable")
    parser.add_argument("--without", action="append", default=[], choices=WITHOUT, help="what is taken away; repeatable")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--python", default="python3", help="the interpreter of worlds that are programs")
    parser.add_argument("--program", default=str(ROOT / "target/debug/sojourn"))
    options = parser.parse_args()
    unknown = [name for name in options.only if name not in WORLDS]
    if unknown:
        sys.exit(f"no world is called {', '.join(unknown)}; there are {', '.join(WORLDS)}")
    rows = {}
    for name, world in WORLDS.items():
        if options.only and name not in options.only:
            continue
        rows[name] = [learn(options, world, seed) for seed in range(1, options.seeds + 1)]
        print(f"{name}: {rows[name]}", file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    print("| world | success in fresh episodes, each learning seed | steps | return | learning, s |\n|---|---|---|---|---|")
    for name, runs in rows.items():
        column = lambda key, form: ", ".join(form.format(run[key]) if key in run else "error" if "error" in run else "–" for run in runs)
        print(f"| {name} | {column('success', '{:.0%}')} | {column('steps', '{:.0f}')} | {column('return', '{:.2f}')} "
              f"| {column('seconds', '{:.0f}')} |")


if __name__ == "__main__":
    main()
