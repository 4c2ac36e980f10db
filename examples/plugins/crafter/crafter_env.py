"""Crafter's original Python environment as a world for Sojourn; needs `pip install crafter`."""
import json, os, sys

out = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what libraries print goes to the standard error
import crafter

env = crafter.Env()
names = list(crafter.constants.actions)
task = lambda name: {"name": name, "description": name.replace("_", " "), "achievement": True,
                     "goal": {"increased": {"path": f"/achievements/{name}", "by": 1}}}
world = {"name": "crafter-original", "version": "1.8.3", "actions": names, "vitals": ["/health"],
         "about": "A world to survive in: gather wood and stone, make tools, eat, drink, sleep.",
         "controls": "move_* walks or turns; do acts on what is in front; place_* and make_* use up what they need.",
         "tasks": [task(name) for name in crafter.constants.achievements]}
done = set()

def seen(reward=0.0, over=False):
    player, local = env._player, env._local_view  # what stands around the player, in the game's own words
    unlocked, state = [a for a, n in player.achievements.items() if n and a not in done], dict(player.inventory)
    done.update(unlocked)
    state |= {"facing": env._world[player.pos + player.facing][0], "achievements": dict(player.achievements)}
    ended = {"kind": "died" if player.health <= 0 else "time_up", "cause": "the episode is over"} if over else None
    return {"state": state, "reward": float(reward), "unlocked": unlocked, "ended": ended}

def reset(params):
    global env
    env = crafter.Env(seed=params["seed"] % 2**31); env.reset(); done.clear()
    return seen()

def step(params):
    _, reward, over, _ = env.step(names.index(params["action"]))
    return seen(reward, over)

answer = {"describe": lambda _: {"environment": world}, "reset": reset, "step": step}
for line in sys.stdin:
    request = json.loads(line)
    if request["method"] in answer:
        result = answer[request["method"]](request.get("params"))
        print(json.dumps({"id": request["id"], "result": result}), file=out, flush=True)
