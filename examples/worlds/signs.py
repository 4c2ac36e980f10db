"""Three crossroads, each with a sign that names the way: pixels, and nothing else says it. Over the process protocol."""
import base64
import json
import random
import struct
import sys
import zlib

WAYS = ["north", "south", "west", "east"]
WORLD = {"name": "signs", "version": "1", "deterministic": True, "frames": True, "actions": WAYS,
         "about": "A walker stands at a crossroads. A sign says which way leads out."}
# Rows of five pixels, the leftmost first.
LETTERS = {"A": "01110 10001 10001 11111 10001 10001 10001", "E": "11111 10000 10000 11110 10000 10000 11111",
           "H": "10001 10001 10001 11111 10001 10001 10001", "N": "10001 11001 10101 10101 10011 10001 10001",
           "O": "01110 10001 10001 10001 10001 10001 01110", "R": "11110 10001 10001 11110 10100 10010 10001",
           "S": "01111 10000 10000 01110 00001 00001 11110", "T": "11111 00100 00100 00100 00100 00100 00100",
           "U": "10001 10001 10001 10001 10001 10001 01110", "W": "10001 10001 10001 10101 10101 11011 10001"}
SCALE, BORDER = 6, 24


def frame():
    """The present sign: dark letters on a light board, as PNG."""
    word = ways[place].upper() if place < len(ways) else ""
    rows = ["0".join(LETTERS[letter].split()[row] for letter in word) for row in range(7)]
    width, light = BORDER * 2 + SCALE * max(len(rows[0]), 1), bytes([235]) * BORDER
    lines = [bytes([235]) * width] * BORDER
    for row in rows:
        ink = b"".join(bytes([30 if pixel == "1" else 235]) * SCALE for pixel in row) or bytes([235]) * SCALE
        lines += [light + ink + light] * SCALE
    lines += [bytes([235]) * width] * BORDER

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    png = (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, len(lines), 8, 0, 0, 0, 0))
           + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + line for line in lines))) + chunk(b"IEND", b""))
    return {"mime": "image/png", "data": base64.b64encode(png).decode()}


def reset(seed):
    """Draws the ways out."""
    global ways, place
    ways, place = [random.Random(f"{seed} {at}").choice(WAYS) for at in range(3)], 0
    return {"text": "There is a sign.", "state": {"crossroads": place + 1}}


def step(action):
    """The right way leads to the next crossroads, and at last out; any other into a swamp."""
    global place
    place += (right := action == ways[place])
    ended = "died" if not right else "succeeded" if place == len(ways) else None
    return {"text": "There is a sign." if ended is None else "", "state": {"crossroads": place + 1},
            "reward": float(ended == "succeeded"), "ended": ended}


answers = {"describe": lambda: {"environment": WORLD}, "reset": reset, "step": step, "frame": frame}
for line in sys.stdin:
    request = json.loads(line)
    if request["method"] in answers:
        result = answers[request["method"]](**(request.get("params") or {}))
        print(json.dumps({"id": request["id"], "result": result}), flush=True)
