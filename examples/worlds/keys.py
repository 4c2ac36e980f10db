"""A room with a key, a locked door and a way out behind it, over the process protocol. Nothing says what to do."""
import json
import random
import sys

WIDTH, HEIGHT = 7, 4
MOVES = {"north": (0, -1), "south": (0, 1), "west": (-1, 0), "east": (1, 0)}
WORLD = {"name": "keys", "version": "1", "deterministic": True, "about": "A room of squares.",
         "actions": ["north", "south", "west", "east", "take", "unlock"]}


def reset(seed):
    """The wall stands in the middle column, its door in one row; the key is on the left of it."""
    global state, exit_at
    chance = random.Random(seed)
    squares = [(x, y) for x in range(WIDTH // 2) for y in range(HEIGHT)]
    (x, y), (key_x, key_y) = chance.sample(squares, 2)
    exit_at = (WIDTH - 1, chance.randrange(HEIGHT))
    state = {"x": x, "y": y, "key": {"x": key_x, "y": key_y}, "door": {"y": chance.randrange(HEIGHT), "locked": True},
             "exit": {"x": exit_at[0], "y": exit_at[1]}, "holding": "nothing"}
    return {"state": state}


def step(action):
    """Moves, takes the key from the square where one stands, or unlocks the door from the square before it."""
    x, y = state["x"], state["y"]
    wall, door = WIDTH // 2, state["door"]
    done = False
    if action in MOVES:
        to = (x + MOVES[action][0], y + MOVES[action][1])
        blocked = to[0] == wall and (to[1] != door["y"] or door["locked"])
        if 0 <= to[0] < WIDTH and 0 <= to[1] < HEIGHT and not blocked:
            state["x"], state["y"] = to
            done = True
    elif action == "take" and state["key"] == {"x": x, "y": y}:
        state["key"], state["holding"], done = None, "key", True
    elif action == "unlock" and state["holding"] == "key" and (x, y) == (wall - 1, door["y"]) and door["locked"]:
        door["locked"], done = False, True
    out = (state["x"], state["y"]) == exit_at
    return {"state": state, "reward": float(out), "ended": "succeeded" if out else None,
            "failed": None if done else "nothing happens"}


answers = {"describe": lambda: {"environment": WORLD}, "reset": reset, "step": step}
for line in sys.stdin:
    request = json.loads(line)
    if request["method"] in answers:
        result = answers[request["method"]](**(request.get("params") or {}))
        print(json.dumps({"id": request["id"], "result": result}), flush=True)
