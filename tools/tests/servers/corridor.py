"""A world of the tests: a corridor, six cells long, with the way out at its end. The first argument is a fault."""

import base64
import json
import sys
import time

FAULT = sys.argv[1]
# How often this program was started counts where a file for it is named.
STARTS = 0
if len(sys.argv) > 2:
    with open(sys.argv[2], "a+", encoding="utf-8") as starts:
        starts.write("x")
        starts.seek(0)
        STARTS = len(starts.read())

WORLD = {
    "name": "corridor",
    "version": "1",
    "about": "A corridor.",
    "deterministic": FAULT != "drifts-silently",
    "actions": ["left", {"name": "right", "description": "one cell to the right"}, "do"],
    "controls": "cell is where you are.",
    "tasks": [{"name": "leave", "description": "leave", "goal": {"at_least": {"path": "/cell", "value": 5}}, "achievement": True}],
    "vitals": ["/cell"],
}
if FAULT == "no-world":
    WORLD = None
if FAULT == "no-actions":
    WORLD["actions"] = []
if FAULT == "twice":
    WORLD["actions"] = ["go-on", "go_on"]
GO = {"name": "go", "description": "goes", "input": {
    "type": "object", "properties": {"to": {"enum": ["left", "right"]}, "cells": {"type": "integer", "minimum": 1, "default": 1}},
    "required": ["to"], "additionalProperties": False}}
if FAULT == "arguments":
    WORLD["actions"] = ["wait", GO]
if FAULT in ("offers", "offers-itself"):
    WORLD["available"] = True
    WORLD["actions"] = [GO] if FAULT == "offers" else [GO, "available"]
if FAULT in ("pictures", "no-picture"):
    WORLD["frames"] = True
if FAULT == "unknown-key":
    WORLD["actions"] = [{"name": "go", "inputs": {}}]
if FAULT == "nameless":
    del WORLD["name"]

cell, start, steps = 0, 0, 0


def seen(failed=None):
    unlocked = ["leave"] if cell == 5 else []
    state = {"cell": cell, "seed": start}
    if FAULT in ("drifts", "drifts-silently"):
        state["starts"] = STARTS
    ended = "succeeded" if unlocked else "time_up" if steps == 60 else None
    if FAULT == "cause" and ended:
        ended = {"kind": "died", "cause": "a door fell shut"}
    available = None
    if FAULT == "offers":
        available = [{"name": "go", "args": {"to": to}} for to in ["left", "right"] if cell > 0 or to == "right"]
    if FAULT == "arguments":
        available = [{"name": "go", "args": {"to": "right"}}, "wait", "fly", {"name": "go", "args": {"to": "up"}}]
        available += ["wait"] * 10_000
    missing = [{"nearby": {"kind": "way"}}] + [{"item": {"item": "x" * 1000, "count": 2, "have": 0}}] * 100 if failed else []
    return {"available": available, "missing": missing, "state": state, "reward": 1.0 if unlocked else 0.0, "unlocked": unlocked, "failed": failed, "ended": ended}


def step(action, args):
    global cell, steps
    steps += 1
    if action == "go":
        cell = max(0, min(5, cell + args["cells"] * (1 if args["to"] == "right" else -1)))
        return seen()
    if cell == 2 and STARTS < 2:
        if FAULT == "exit":
            print("a wall came down", file=sys.stderr, flush=True)
            sys.exit(3)
        if FAULT == "hang":
            time.sleep(60)
        if FAULT == "unreadable":
            return {"state": "none"}
        if FAULT == "says":
            raise ValueError("the floor is wet")
    if action == "right":
        cell += 1
    elif action == "left" and cell == 0:
        return seen("a wall is there")
    elif action == "left":
        cell -= 1
    return seen()


for line in sys.stdin:
    request = json.loads(line)
    method, params = request["method"], request.get("params")
    try:
        if method == "describe":
            result = {"environment": WORLD} if WORLD else {"tools": []}
        elif method == "reset":
            cell, start, steps = 0, params["seed"], 0
            result = seen()
        elif method == "step":
            result = step(params["action"], params.get("args"))
        elif method == "frame" and FAULT == "pictures":
            result = {"mime": "image/gif", "data": base64.b64encode(b"GIF89a%d" % cell).decode()}
        elif method == "frame":
            raise ValueError("the lamp is out")
        else:
            continue
        answer = {"result": result}
    except ValueError as error:
        answer = {"error": str(error)}
    print(json.dumps({"id": request["id"], **answer}), flush=True)
