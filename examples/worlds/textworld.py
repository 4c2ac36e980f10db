"""A game of TextWorldExpress over the process protocol: `textworld.py GAME [FOLD]`. It gives what the game gives, and nothing else.

    pip install textworld-express==1.1.0     # needs Java

GAME is `cookingworld`, `twc`, `coin`, `mapreader` or another of its games. FOLD is `train`, `dev` or `test`: whose layouts the seeds draw
from, `train` if it is left out.
"""
import contextlib
import json
import sys

from textworld_express import TextWorldExpressEnv

GAME = sys.argv[1] if len(sys.argv) > 1 else "coin"
FOLD = sys.argv[2] if len(sys.argv) > 2 else "train"
STEPS = 100
TEXT = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"], "additionalProperties": False}
WORLD = {"name": f"textworld-{GAME}", "version": "1", "deterministic": True, "about": "A text game.", "episode_steps": STEPS,
         "available": True, "actions": [{"name": "command", "description": "says to the game what to do", "input": TEXT}]}


def seen(observation, info, reward=0.0):
    """An observation. Only the game decides what is success."""
    ended = None
    if info["tasksuccess"]:
        ended = "succeeded"
    elif info["taskfailure"]:
        ended = {"kind": "died", "cause": "the game is lost"}
    elif info["numMoves"] >= STEPS:
        ended = "time_up"
    state = {"text": observation, "look": info["look"], "inventory": info["inventory"], "task": info["taskDescription"]}
    return {"text": observation, "state": state, "reward": reward, "ended": ended, "available": sorted(info["validActions"])}


def reset(seed):
    """The game of this seed in the fold: one of the fold's own seeds."""
    global score
    score = 0.0
    seeds = {"train": game.getValidSeedsTrain, "dev": game.getValidSeedsDev, "test": game.getValidSeedsTest}[FOLD]()
    observation, info = game.reset(seed=seeds[seed % len(seeds)], gameFold=FOLD, generateGoldPath=False)
    return seen(observation, info)


def step(action, args):
    """The reward is what the score grew by."""
    global score
    observation, _, _, info = game.step(args["text"])
    reward, score = info["score"] - score, info["score"]
    return seen(observation, info, reward)


answers = {"describe": lambda: {"environment": WORLD}, "reset": reset, "step": step}
with contextlib.redirect_stdout(sys.stderr):
    game = TextWorldExpressEnv(envStepLimit=STEPS)
    game.load(gameName=GAME, gameParams="")
for line in sys.stdin:
    request = json.loads(line)
    if request["method"] in answers:
        with contextlib.redirect_stdout(sys.stderr):
            result = answers[request["method"]](**(request.get("params") or {}))
        print(json.dumps({"id": request["id"], "result": result}), flush=True)
