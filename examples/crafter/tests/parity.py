"""Plays the original Crafter and prints its whole state after every step.

    python3 parity.py states MODE FIRST_SEED SEEDS STEPS
    python3 parity.py golden

MODE is `random` (an empty inventory) or `stocked` (a full one, topped up every 100 steps, on actions that
favour walking). One line of tab-separated `name=value` fields a state; the Rust test writes the same fields of
its own game and compares them. `golden` prints what is kept in `golden.tsv`: mode, seed, actions and a hash of
all the states.

The first call makes a virtual environment with pinned packages in the cache directory ($SOJOURN_CACHE, or the
user's own) and goes on in it.
"""

import fcntl
import os
import pathlib
import struct
import subprocess
import sys

PACKAGES = [
    "crafter==1.8.3",
    "numpy==2.4.6",
    "opensimplex==0.4.5.1",
    "imageio==2.38.1",
    "pillow==13.0.0",
    "ruamel.yaml==0.19.1",
]


def environment():
    """The pinned environment's Python, made on first use; one process makes it, the others wait."""
    base = os.environ.get("SOJOURN_CACHE") or os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    version = "python%d.%d" % sys.version_info[:2]
    home = pathlib.Path(base).expanduser() / "sojourn-parity" / ("crafter-1.8.3-" + version)
    home.mkdir(parents=True, exist_ok=True)
    ready = home / "ready"
    with open(home / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists() or ready.read_text().split() != PACKAGES:
            subprocess.run([sys.executable, "-m", "venv", "--clear", home / "venv"], check=True, stdout=2)
            install = [home / "venv" / "bin" / "python", "-m", "pip", "install", "--quiet", *PACKAGES]
            subprocess.run(install, check=True, stdout=2)
            ready.write_text("\n".join(PACKAGES))
    return home / "venv" / "bin" / "python"


if __name__ == "__main__" and os.environ.get("SOJOURN_PARITY") != "ready":
    os.environ["SOJOURN_PARITY"] = "ready"
    python = str(environment())
    os.execv(python, [python, *sys.argv])

import collections
import hashlib

import crafter
import numpy as np
from crafter import constants, engine, objects


class OrderedSet(dict):
    """The original keeps a chunk's objects in a set, in the order of their addresses; this makes it the
    order in which they came."""

    def add(self, item):
        self[item] = None

    def remove(self, item):
        del self[item]


original_reset = engine.World.reset


def ordered_reset(self, seed=None):
    original_reset(self, seed)
    self._chunks = collections.defaultdict(OrderedSet)


engine.World.reset = ordered_reset

LETTERS = bytes(ord("?") if i == 0 else ord("a") + i - 1 for i in range(256 - 150)) + bytes(150)
MOVES = {(-1, 0): "left", (1, 0): "right", (0, -1): "up", (0, 1): "down"}


def bits(number):
    return struct.pack(">d", float(number)).hex()


def describe(obj):
    name = type(obj).__name__.lower()
    x, y = (int(v) for v in obj.pos)
    health = 0 if name == "player" else int(obj.health)
    memory = {
        objects.Zombie: lambda: obj.cooldown,
        objects.Skeleton: lambda: obj.reload,
        objects.Plant: lambda: obj.grown,
        objects.Arrow: lambda: MOVES[tuple(int(v) for v in obj.facing)],
    }.get(type(obj), lambda: "")()
    return f"{name},{x},{y},{health},{memory}"


def show(env, action, reward, done):
    """A state as one line."""
    player, world = env._player, env._world
    _, words, position, *_ = world.random.get_state()
    needs = (player._hunger, player._thirst, player._fatigue, player._recover)
    fields = {
        "action": action,
        "step": env._step,
        "rng": f"{position},{int(words.astype(np.uint64).sum() & 0xFFFFFFFF)}",
        "daylight": bits(world.daylight),
        "materials": world._mat_map.tobytes().translate(LETTERS).decode(),
        "objects": ";".join(describe(obj) for obj in world.objects),
        "inventory": ",".join(str(int(player.inventory[name])) for name in constants.items),
        "achievements": ",".join(str(player.achievements[name]) for name in constants.achievements),
        "facing": MOVES[tuple(int(v) for v in player.facing)],
        "sleeping": int(player.sleeping),
        "needs": ",".join(bits(need) for need in needs),
        "reward": bits(reward),
        "done": int(done),
    }
    return "\t".join(f"{name}={value}" for name, value in fields.items())


def stock(env):
    for name in constants.items:
        env._player.inventory[name] = 9
    env._player.inventory["energy"] = 8


def play(mode, seed, steps):
    """Pairs of an action and the state after it. A `+` before an action says that the player was stocked first.

    One seed in five begins a new episode when the player dies; in the others it plays on dead, which the
    original allows, because making a world takes it seconds.
    """
    env = crafter.Env(seed=seed, length=10000)
    # Nothing is drawn: at night, drawing takes numbers from the world's generator.
    env._obs = env._sem_view = lambda: None
    env.reset()
    yield "reset", show(env, "reset", 0, False)
    choose = np.random.RandomState((seed + 1_000_000) % 2**32)
    done = False
    for step in range(steps):
        if done and seed % 5 == 0:
            env.reset()
            yield "reset", show(env, "reset", 0, False)
        stocked = mode == "stocked" and step % 100 == 0
        if stocked:
            stock(env)
        # The stocked player does one thing in three besides walking, so that it gets about.
        walking = mode == "stocked" and choose.randint(3)
        index = 1 + choose.randint(4) if walking else choose.randint(len(constants.actions))
        _, reward, done, _ = env.step(index)
        action = "+" * stocked + constants.actions[index]
        yield action, show(env, action, reward, done)


def states(mode, first, seeds, steps):
    for seed in range(int(first), int(first) + int(seeds)):
        for _, line in play(mode, seed, int(steps)):
            print(line)


def golden():
    for mode, seed in [("random", 1), ("random", 2), ("random", 5), ("stocked", 3), ("stocked", 2**40 + 4)]:
        actions, digest = [], hashlib.sha256()
        for action, line in play(mode, seed, 600):
            actions.append(action)
            digest.update(line.encode() + b"\n")
        print(mode, seed, ",".join(actions), digest.hexdigest(), sep="\t")


if __name__ == "__main__":
    {"states": states, "golden": golden}[sys.argv[1]](*sys.argv[2:])
