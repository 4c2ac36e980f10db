"""PLUGIN_NAME: tools for a Sojourn agent. One JSON object a line comes in, one a line goes out."""

import json
import sys


def greet(name):
    return {"greeting": f"Hello, {name}!"}


TOOLS = [
    {
        "name": "greet",
        "description": "greets somebody by name",
        "input": {
            "type": "object",
            "properties": {"name": {"type": "string"}},
            "required": ["name"],
            "additionalProperties": False,
        },
        # Declared effects: this tool only reads. Without `effects` the worst is assumed.
        "effects": {"write": False, "idempotent": True},
        "returns": "json",
    }
]
FUNCTIONS = {"greet": greet}


def answer(request):
    if request["method"] == "describe":
        return {"id": request["id"], "result": {"tools": TOOLS}}
    if request["method"] == "call":
        params = request["params"]
        try:
            return {"id": request["id"], "result": FUNCTIONS[params["tool"]](**params["args"])}
        except Exception as error:  # the agent gets every error as an answer
            return {"id": request["id"], "error": f"{type(error).__name__}: {error}"}
    return None


def main():
    for line in sys.stdin:
        reply = answer(json.loads(line))
        if reply is not None:
            print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
