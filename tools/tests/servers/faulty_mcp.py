"""A server of the Model Context Protocol that misbehaves as its first argument says. Standard library only."""

import json
import sys
import time

import faults

FAULT = sys.argv[1]


def send(message, raw=None):
    faults.write(raw if raw is not None else json.dumps(message).encode() + b"\n")


def answer(request, result):
    send({"jsonrpc": "2.0", "id": request["id"], "result": result})


def text(words):
    return {"content": [{"type": "text", "text": words}]}


def tools():
    schema = {"type": "object", "properties": {}}
    if FAULT == "wrong-schema":
        schema = {"type": 7}
    names = ["misbehave", "behave"] + (["late"] if CHANGED else [])
    sane = {"type": "object", "properties": {}}
    return [{"name": n, "description": n, "inputSchema": schema if n == "misbehave" else sane} for n in names]


def misbehave(request):
    global CHANGED
    if faults.misbehave(FAULT, json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": text("slowly")}).encode() + b"\n"):
        return
    if FAULT == "utf8":
        send(None, b'{"jsonrpc": "2.0", "id": %d, "result": {"content": [{"type": "text", "text": "\xff\xfe"}]}}\n' % request["id"])
        return
    if FAULT == "large":
        answer(request, text("x" * 100_000_000))
        return
    if FAULT == "wrong-id":
        send({"jsonrpc": "2.0", "id": request["id"] + 1000, "result": text("for somebody else")})
        return
    if FAULT == "mid-message":
        send(None, b'{"jsonrpc": "2.0", "id": %d, "result": {"con' % request["id"])
        sys.exit(0)
    if FAULT == "change":
        CHANGED = True
        send({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
        time.sleep(0.2)
    answer(request, text("done"))


def interleave(request):
    """Waits for a second call, and then tells of both by turns."""
    WAITING.append(request)
    if len(WAITING) < 2:
        return
    for done in range(1, 5):
        for number, each in enumerate(WAITING):
            token = each["params"]["_meta"]["progressToken"]
            told = {"progressToken": token, "progress": done, "message": "%d of call %d" % (done, number)}
            send({"jsonrpc": "2.0", "method": "notifications/progress", "params": told})
    for number, each in enumerate(WAITING):
        # Nothing of ours may reach a server.
        extra = [key for key in each["params"]["_meta"] if "sojourn" in key]
        answer(each, text("call %d %s" % (number, extra)))
    WAITING.clear()


CHANGED = False
WAITING = []
for line in sys.stdin:
    request = json.loads(line)
    method = request.get("method")
    if method == "initialize":
        answer(request, {
            "protocolVersion": request["params"]["protocolVersion"],
            "capabilities": {"tools": {"listChanged": True}},
            "serverInfo": {"name": "faulty", "version": "1"},
        })
    elif method == "tools/list":
        answer(request, {"tools": tools()})
    elif method == "tools/call":
        if request["params"]["name"] == "misbehave" and FAULT == "interleave":
            interleave(request)
        elif request["params"]["name"] == "misbehave":
            misbehave(request)
        else:
            answer(request, text("well"))
    elif "id" in request and method:
        send({"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32601, "message": "unknown method"}})
