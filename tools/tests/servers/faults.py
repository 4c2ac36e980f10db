"""What both misbehaving servers do in the same way: faults that are a matter of bytes."""

import sys
import time

OUT = sys.stdout.buffer


def write(raw):
    OUT.write(raw)
    OUT.flush()


def misbehave(fault, slow):
    """Does what the fault says; returns whether that was all. `slow` is an answer, given byte by byte."""
    if fault == "exit":
        print("it was too much for me", file=sys.stderr, flush=True)
        sys.exit(3)
    if fault == "flood":
        while True:
            write(b"x" * 1_000_000 + b"\n")
    if fault == "endless":
        write(slow.rstrip(b"\n"))
        while True:
            write(b" " * 1_000_000)
    if fault == "drip":
        for byte in slow:
            write(bytes([byte]))
            time.sleep(0.002)
    if fault == "noise":
        write(b"Loading model...\n\n{not json}\n[1, 2\n7\n")
    return fault in ("hang", "drip")
