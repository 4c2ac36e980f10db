"""A plugin that speaks lines of JSON and misbehaves as its first argument says. Standard library only."""

import json
import sys
import time

FAULT = sys.argv[1]
OUT = sys.stdout.buffer


def send(message, raw=None):
    OUT.write(raw if raw is not None else json.dumps(message).encode() + b"\n")
    OUT.flush()


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
    if FAULT == "hang":
        return
    if FAULT == "exit":
        print("it was too much for me", file=sys.stderr, flush=True)
        sys.exit(3)
    if FAULT == "flood":
        for _ in range(200):
            send(None, b"x" * 1_000_000 + b"\n")
        return
    if FAULT == "drip":
        for byte in json.dumps({"id": id, "result": "slowly"}).encode() + b"\n":
            send(None, bytes([byte]))
            time.sleep(0.002)
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
    if FAULT == "noise":
        send(None, b"Loading model...\n\n{not json}\n[1, 2\n7\n")
    send({"id": id, "result": "done"})


CHANGED = False
for line in sys.stdin:
    request = json.loads(line)
    if request["method"] == "describe":
        send({"id": request["id"], "result": tools()})
    elif request["method"] == "cancel":
        print("cancelled", request["params"]["id"], file=sys.stderr, flush=True)
    elif request["params"]["tool"] == "misbehave":
        misbehave(request["id"])
    else:
        send({"id": request["id"], "result": "well"})
