"""A plugin that speaks lines of JSON and misbehaves as its first argument says. Standard library only."""

import json
import sys
import time

import faults

FAULT = sys.argv[1]


def send(message, raw=None):
    faults.write(raw if raw is not None else json.dumps(message).encode() + b"\n")


def tools():
    reads = {"write": False}
    names = ["misbehave", "behave"] + (["late"] if CHANGED else [])
    offers = [{"name": name, "effects": reads} for name in names]
    if FAULT == "nameless":
        offers[0].pop("name")
    if FAULT == "wrong-schema":
        offers[0]["input"] = {"type": 7}
    return {"tools": offers}


def misbehave(id):
    global CHANGED
    if faults.misbehave(FAULT, json.dumps({"id": id, "result": "slowly"}).encode() + b"\n"):
        return
    if FAULT == "utf8":
        send(None, b'{"id": %d, "result": "\xff\xfe"}\n' % id)
        return
    if FAULT == "large":
        send({"id": id, "result": "x" * 100_000_000})
        return
    if FAULT == "wrong-id":
        send({"id": id + 1000, "result": "for somebody else"})
        return
    if FAULT == "mid-message":
        send(None, b'{"id": %d, "resu' % id)
        sys.exit(0)
    if FAULT == "error-object":
        send({"id": id, "error": {"code": -1, "message": "not today"}})
        return
    if FAULT == "echo":
        send({"id": id, "method": "call", "params": {}})
    if FAULT == "null":
        send({"id": id, "result": None})
        return
    if FAULT == "wrong-result":
        send({"id": id, "result": {"ok": "perhaps"}})
        return
    if FAULT == "change":
        CHANGED = True
        send({"tools_changed": True})
        time.sleep(0.2)
    send({"id": id, "result": "done"})


def interleave(id):
    """Waits for a second call, and then tells of both by turns."""
    WAITING.append(id)
    if len(WAITING) < 2:
        return
    for done in range(1, 5):
        for number, each in enumerate(WAITING):
            send({"progress": {"id": each, "done": done, "message": "%d of call %d" % (done, number)}})
    for number, each in enumerate(WAITING):
        send({"id": each, "result": "call %d []" % number})
    WAITING.clear()


CHANGED = False
WAITING = []
for line in sys.stdin:
    request = json.loads(line)
    if request["method"] == "describe":
        send({"id": request["id"], "result": tools()})
    elif request["method"] == "cancel":
        print("cancelled", request["params"]["id"], file=sys.stderr, flush=True)
    elif request["params"]["tool"] == "misbehave" and FAULT == "interleave":
        interleave(request["id"])
    elif request["params"]["tool"] == "misbehave":
        misbehave(request["id"])
    else:
        send({"id": request["id"], "result": "well"})
