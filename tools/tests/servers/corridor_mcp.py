"""The same corridor as an MCP server with a tool that resets and one that steps, as Gymnasium tells its results."""

import base64
import json
import os
import sys

# Who this is, for a test that looks whether it is still there.
if len(sys.argv) > 2:
    with open(sys.argv[2], "w", encoding="utf-8") as mine:
        mine.write(str(os.getpid()))

TOOLS = [
    {"name": "reset-env", "inputSchema": {"type": "object", "properties": {"seed": {"type": "integer"}}}},
    {"name": "step-env", "inputSchema": {"type": "object", "properties": {"action": {"type": "integer"}}, "required": ["action"]}},
]
TOOLS.append({"name": "render", "inputSchema": {"type": "object"}})
cell = 0


def told(reward=0.0):
    over = cell == 5
    return {"observation": {"cell": cell}, "reward": reward, "terminated": over, "truncated": False, "info": {}}


def call(name, args):
    global cell
    if name == "reset-env":
        cell = args["seed"] % 2
        return told()
    cell = max(0, cell + args["action"])
    if cell == 3 and args["action"] < 0:
        sys.exit(3)
    return told(1.0 if cell == 5 else 0.0)


for line in sys.stdin:
    request = json.loads(line)
    method = request.get("method")
    if "id" not in request:
        continue
    if method == "initialize":
        result = {
            "protocolVersion": request["params"]["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "corridor", "version": "1"},
        }
    elif method == "tools/list":
        result = {"tools": TOOLS}
    elif method == "tools/call":
        if request["params"]["name"] == "render":
            picture = {"type": "image", "mimeType": "image/gif", "data": base64.b64encode(b"GIF89a%d" % cell).decode()}
            answer = {"jsonrpc": "2.0", "id": request["id"], "result": {"content": [picture]}}
            print(json.dumps(answer), flush=True)
            continue
        told_now = call(request["params"]["name"], request["params"].get("arguments", {}))
        result = {"content": [{"type": "text", "text": json.dumps(told_now)}]}
    else:
        error = {"code": -32601, "message": "unknown method"}
        print(json.dumps({"jsonrpc": "2.0", "id": request["id"], "error": error}), flush=True)
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}), flush=True)
