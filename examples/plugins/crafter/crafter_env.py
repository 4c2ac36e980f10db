"""Crafter's original Python environment over the process protocol; needs `pip install crafter`."""
import json, os, sys

out = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # libraries print to standard error
import crafter

names = list(crafter.constants.actions)
tasks = [{"name": name, "description": name.replace("_", " "), "achievement": True,
          "goal": {"increased": {"path": f"/achievements/{name}", "by": 1}}} for name in crafter.constants.achievements]
world = {"name": "crafter-original", "version": "1.8.3", "actions": names, "tasks": tasks, "vitals": ["/health"],
         "about": "A world to survive in: gather wood and stone, make tools, eat, drink, sleep.",
         "controls": "move_* walks or turns, do acts on what is in front. facing is what is in front; near.NAME says where "
                     "the nearest thing of that name is: x to the right, y downwards. inventory says what is held."}


def observation(reward=0.0, over=False):
    global done
    player, near = env._player, {}
    for x in range(-4, 5):
        for y in range(-3, 4):
            material, thing = env._world[player.pos + (x, y)]
            name = type(thing).__name__.lower() if thing and thing is not player else material
            if name and abs(x) + abs(y) < sum(map(abs, near.get(name, {"x": 9, "y": 9}).values())):
                near[name] = {"x": x, "y": y}
    unlocked = [name for name in player.achievements if name not in done and player.achievements[name]]
    done |= set(unlocked)
    state = {"health": player.health, "inventory": dict(player.inventory), "near": near,
             "facing": env._world[player.pos + player.facing][0], "achievements": dict(player.achievements)}
    ended = ("died" if player.health <= 0 else "time_up") if over else None
    return {"state": state, "reward": float(reward), "unlocked": unlocked, "ended": ended}


def reset(seed):
    global env, done
    env, done = crafter.Env(seed=seed % 2**31), set()
    env.reset()
    return observation()


def step(action):
    _, reward, over, _ = env.step(names.index(action))
    return observation(reward, over)


answers = {"describe": lambda: {"environment": world}, "reset": reset, "step": step}
for line in sys.stdin:
    request = json.loads(line)
    if request["method"] in answers:
        result = answers[request["method"]](**(request.get("params") or {}))
        print(json.dumps({"id": request["id"], "result": result}), file=out, flush=True)
