#!/usr/bin/env python3
"""Ablation: what an agent learns with one of its parts taken away, and what that is worth in fresh episodes.

    python3 bench/ablate.py AGENT [--arm ARM]... [--seeds 5] [--minutes 10 | --steps N] [--episodes 30] [--first-episode 1] [--model]
                            [--episode-tokens N] [--set KEY=VALUE]... [--json] [--program target/debug/sojourn]

AGENT is an agent file, `crafter`, or another world that `sojourn run` takes. For each arm and learning seed the script makes an empty home,
lets the agent live in the world for at most `--minutes` or `--steps`, and measures the skills in `--episodes` episodes that learning never draws, the same
ones for every arm. Without `--model` no model is asked, neither in learning nor in use. With it the model chooses among tasks in use, too;
`--episode-tokens` then gives every arm the same tokens an episode.

Progress is the share of the world's own tasks that an episode reaches: BALROG's in Crafter. The spread is the standard deviation between
learning seeds. The difference is taken seed by seed from the first arm of the table, so its spread says whether an arm matters.
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
# The settings that take a part away: those of learning and use, and those of learning alone.
ARMS = {
    "whole": ([], []),
    "without-library": (["run.library=false"], []),
    "without-memory": (["run.memory=false"], []),
    "without-reflexes": (["reflexes=[]"], ["run.reflexes.write=false"]),
    "without-curriculum": ([], ["run.curriculum=false"]),
    "without-planner": ([], ["run.actor.follow_recipes=false"]),
    "planner-first": ([], ["run.actor.follow_recipes=true"]),
    "without-play": ([], ["run.explore.episodes=0"]),
    "without-discovery": ([], ["run.discovery.stages=0"]),
    "without-trials": ([], ["run.actor.admission.worlds=1", "run.actor.admission.needed=1"]),
    "without-learning": ([], ["run.learning=false"]),
}
NO_MODEL = ["run.actor.follow_recipes=true", "run.actor.rounds=0", "run.deliberate=false", "run.reflexes.write=false"]
# Without a model these arms show nothing; with one, programs are not printed from recipes unless an arm says so.
NEEDS_MODEL = {"without-library", "without-memory", "without-learning", "planner-first"}
NEEDS_NO_MODEL = {"without-planner"}


def started(command):
    """The standard output of a program that succeeds, or its error."""
    ran = subprocess.run(command, capture_output=True, text=True)
    return (ran.stdout, None) if ran.returncode == 0 else (None, ran.stderr.strip()[-600:])


def measure(options, arm, seed, home):
    """Learns with a seed and plays fresh episodes with what was learned."""
    always, learning = ARMS[arm]
    sojourn = [options.program, "--home", str(home)]
    sets = lambda *lists: sum((["--set", one] for one in sum(lists, [])), [])
    base = [] if options.model else NO_MODEL
    use = [] if options.model else ["run.memory=false"]
    begun = time.monotonic()
    budget = ["--steps", str(options.steps)] if options.steps else ["--time", f"{round(options.minutes * 60)}s"]
    _, error = started([*sojourn, "run", options.agent, *budget, "--unsupervised",
                        *sets([f"run.seed={seed}"], base, use, always, learning, options.set)])
    result = {"seed": seed, "seconds": round(time.monotonic() - begun, 1)}
    if error:
        return {**result, "error": error}
    tokens = [f"run.episode_tokens={options.episode_tokens}"] if options.episode_tokens else []
    printed, error = started([*sojourn, "bench", options.agent, "--episodes", str(options.episodes), "--first-seed",
                              str(options.first_episode), "--json", *([] if options.model else ["--no-deliberation"]),
                              *sets(use, always, tokens, options.set)])
    if error and "no skill was learned" in error:
        return {**result, "skills": 0, "progress": 0.0}
    if error:
        return {**result, "error": error}
    told = json.loads(printed)
    return {**result, "skills": told["library_skills"], "progress": told["reached_percent"]["mean"], "steps": told["steps"]["mean"],
            "return": told["return"]["mean"], "deaths": told["deaths"], "tokens": told["tokens"]}


def spread(numbers, form="{:.1f} ± {:.1f}"):
    """Mean and standard deviation."""
    if not numbers:
        return "–"
    if len(numbers) == 1:
        return form.split(" ±")[0].format(numbers[0])
    return form.format(statistics.mean(numbers), statistics.stdev(numbers))


def show(arms):
    """A table for people."""
    print("| arm | progress %, mean ± SD of learning seeds | each seed | difference | skills | steps | learning, s |")
    print("|---|---|---|---|---|---|---|")
    first = {run["seed"]: run["progress"] for run in next(iter(arms.values())) if "progress" in run}
    for number, (arm, runs) in enumerate(arms.items()):
        good = [run for run in runs if "progress" in run]
        of = lambda key: [run[key] for run in good if key in run]
        pairs = [run["progress"] - first[run["seed"]] for run in good if run["seed"] in first]
        each = ", ".join(f"{run['progress']:.1f}" if "progress" in run else "error" for run in runs)
        print(f"| {arm} | {spread(of('progress'))} | {each} | {spread(pairs, '{:+.1f} ± {:.1f}') if number else ''} "
              f"| {spread(of('skills'))} | {spread(of('steps'), '{:.0f} ± {:.0f}')} | {spread(of('seconds'), '{:.0f} ± {:.0f}')} |")
    for arm, runs in arms.items():
        for run in runs:
            if "error" in run:
                print(f"{arm}, seed {run['seed']}: {run['error'].splitlines()[-1]}", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("agent", help="an agent file, or a world")
    parser.add_argument("--arm", action="append", default=[], choices=ARMS, help="repeatable; by default all that can show something")
    parser.add_argument("--seeds", type=int, default=5, help="number of learning seeds")
    parser.add_argument("--first-learning-seed", type=int, default=1, help="the first learning seed; the others follow")
    parser.add_argument("--minutes", type=float, default=10, help="of learning, at most")
    parser.add_argument("--steps", type=int, help="of learning, in place of the minutes: as many on a busy machine")
    parser.add_argument("--episodes", type=int, default=30, help="fresh episodes of each learning seed")
    parser.add_argument("--first-episode", type=int, default=1, help="the first fresh episode; the others follow")
    parser.add_argument("--model", action="store_true", help="with the agent's model; without it no model is asked")
    parser.add_argument("--episode-tokens", type=int, help="tokens of a fresh episode, for every arm alike")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a key of the agent file; repeatable")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--program", default=str(ROOT / "target/debug/sojourn"))
    options = parser.parse_args()
    useless = NEEDS_NO_MODEL if options.model else NEEDS_MODEL
    wrong = [arm for arm in options.arm if arm in useless]
    if wrong:
        parser.error(f"{', '.join(wrong)} would show nothing {'with' if options.model else 'without'} a model")
    chosen = options.arm or [arm for arm in ARMS if arm not in useless]
    arms = {}
    for arm in chosen:
        arms[arm] = []
        for seed in range(options.first_learning_seed, options.first_learning_seed + options.seeds):
            with tempfile.TemporaryDirectory() as directory:
                arms[arm].append(measure(options, arm, seed, pathlib.Path(directory) / "home"))
            print(f"{arm}: {arms[arm][-1]}", file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps({"agent": options.agent, "model": options.model, "minutes": options.minutes, "arms": arms}, indent=1))
    else:
        show(arms)


if __name__ == "__main__":
    main()
