"""A game of AgentOdyssey over the process protocol: `odyssey.py GAME [STEPS]`. It gives what the game gives, and nothing else.

    pip download --no-deps agentodyssey==0.1.0 && unzip agentodyssey-*.whl -d FOLDER     # FOLDER into PYTHONPATH
    pip install gymnasium termcolor psutil openai numpy

GAME is `remnant`, `metropolis`, `saltglass`, `quarantine`, `mark` or `robot_kingdom`. The reward is the game's total. An episode
has STEPS steps, 300 if they are left out.
"""
import contextlib
import io
import json
import os
import pathlib
import re
import shutil
import sys
import tempfile

import utils  # AgentOdyssey's own

GAME = sys.argv[1] if len(sys.argv) > 1 else "remnant"
STEPS = int(sys.argv[2]) if len(sys.argv) > 2 else 300
ME = "agent_adam_davis"
TEXT = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"], "additionalProperties": False}
WORLD = {"name": f"odyssey-{GAME}", "version": "1", "about": "A text game.", "episode_steps": STEPS, "available": True,
         "actions": [{"name": "command", "description": "says to the game what to do", "input": TEXT}]}


def seen(observation, reward=0.0):
    """An observation. Possible are the commands that the game lists, and those that its text quotes, which the list can lack."""
    offered = (observation[ME].get("valid_actions") or {}).values()
    commands = [command for group in offered for command in group or [] if command]
    commands += [command for command in re.findall(r"`([^`\n]+)`", observation[ME]["text"]) if command not in commands]
    return {"text": observation[ME]["text"], "reward": reward, "available": commands, "ended": "time_up" if steps >= STEPS else None}


def reset(seed):
    """A new game, whose files are in a folder of its own."""
    global env, steps
    steps = 0
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(f"{folder}/{ME}")
    shutil.copy(f"assets/env_configs/generated/{GAME}/initial.json", f"{folder}/config.json")
    agent = wait.create_wait_agent(utils.dynamic_load_game_class(GAME, "agent", "Agent"))(id=ME, name="adam_davis")
    env = utils.dynamic_load_game_class(GAME, "env", "AgentOdysseyEnv")(
        seed=seed % 2**32, agents=[agent], world_definition_path=f"assets/world_definitions/generated/{GAME}/default.json",
        run_dir=folder, config_path=f"{folder}/config.json", enable_obs_valid_actions=True)
    return seen(env.reset(from_config=False))


def step(action, args):
    """The reward is the game's own total of its kinds, less deaths."""
    global steps
    steps += 1
    observation, reward, done, _ = env.step({ME: args["text"]})
    env.update_scores(reward)
    return {**seen(observation, float(reward[ME].total)), **({"ended": "time_up"} if done else {})}


with contextlib.redirect_stdout(io.StringIO()):
    os.chdir(pathlib.Path(utils.__file__).parent)
    from agents import wait_agent as wait
folder = tempfile.mkdtemp()
answers = {"describe": lambda: {"environment": WORLD}, "reset": reset, "step": step}
for line in sys.stdin:
    request = json.loads(line)
    if request["method"] in answers:
        with contextlib.redirect_stdout(io.StringIO()):
            result = answers[request["method"]](**(request.get("params") or {}))
        print(json.dumps({"id": request["id"], "result": result}), flush=True)
shutil.rmtree(folder, ignore_errors=True)
