"""A plugin in Python that rolls dice. See tools/PROCESS.md for the protocol; it needs only the standard library."""

import json
import os
import random
import sys

# The same seed rolls the same dice; the variable reaches a plugin whose source names it: env = ["DICE_SEED"].
random.seed(os.environ.get("DICE_SEED"))

TOOLS = [
    {
        "name": "roll",
        "description": "rolls dice and gives what they show",
        "input": {
            "type": "object",
            "properties": {
                "sides": {"type": "integer", "minimum": 2, "maximum": 100},
                "count": {"type": "integer", "minimum": 1, "maximum": 20, "default": 1},
            },
            "required": ["sides"],
            "additionalProperties": False,
        },
        "effects": {"write": False},
        "returns": "json",
    }
]


def roll(sides, count=1):
    return [random.randint(1, sides) for _ in range(count)]


for line in sys.stdin:
    request = json.loads(line)
    if request["method"] == "describe":
        print(json.dumps({"id": request["id"], "result": {"tools": TOOLS}}), flush=True)
    elif request["method"] == "call":
        try:
            answer = {"result": roll(**request["params"]["args"])}
        except (TypeError, ValueError) as error:
            answer = {"error": str(error)}
        print(json.dumps({"id": request["id"], **answer}), flush=True)
