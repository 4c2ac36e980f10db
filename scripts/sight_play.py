#!/usr/bin/env python3
"""Plays two development tasks of MiniWoB++ that the list of a page's elements does not show enough of, with and without eyes.

    python3 scripts/sight_play.py SOJOURN [--instances 20]

Both players are scripts that know the goal and the layout, and click points as `click_at` does. With eyes they look at screenshots by
`sojourn see`: in tic-tac-toe `--compare` shows where the other one moved (the marks are pictures without a name), and in the inbox `--find`
shows the row of the sender, whose star is a picture without a name too. Without eyes they make the same moves without knowing
that. Prints how many episodes each wins, and their 95 % interval (Wilson).
"""

import argparse
import base64
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bench"))
from box_hit_rate import BEGIN, SIZE  # noqa: E402
from studio import Page  # noqa: E402

LINES = [(0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6)]
ORDER = [4, 0, 2, 6, 8, 1, 3, 5, 7]


class Player:
    def __init__(self, options, place):
        self.options, self.place = options, pathlib.Path(place)
        self.page = Page(options.chromium, place)
        self.page.send("Emulation.setDeviceMetricsOverride", width=SIZE[0], height=SIZE[1], deviceScaleFactor=1, mobile=False)

    def begin(self, task, instance):
        self.page.send("Page.navigate", url=f"file://{self.options.html}/miniwob/{task}.html")
        self.page.until(f"location.pathname.endsWith('/{task}.html') && document.readyState === 'complete'")
        self.page.evaluate(BEGIN.replace("INSTANCE", str(instance)))
        return self.page.evaluate("core.getUtterance()")

    def look(self, name):
        path = self.place / f"{name}.png"
        path.write_bytes(base64.b64decode(self.page.send("Page.captureScreenshot", format="png")["data"]))
        return path

    def see(self, *how):
        told = subprocess.run([self.options.sojourn, "--home", self.place / "home", "see", *how, "--json"],
                              capture_output=True, text=True, check=False)
        return json.loads(told.stdout) if told.stdout else sys.exit(told.stderr)

    def click(self, x, y):
        for kind in ("mousePressed", "mouseReleased"):
            self.page.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        time.sleep(0.3)

    def scroll(self, x, y, down):
        self.page.send("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=down)
        time.sleep(0.5)

    def judged(self):
        """Whether the episode is over, and whether it was won."""
        return self.page.evaluate("[WOB_DONE_GLOBAL, WOB_DONE_GLOBAL && WOB_RAW_REWARD_GLOBAL >= 1]")


def cells(player):
    """The middles of the nine cells, which are the same in every episode."""
    return player.page.evaluate("[...document.querySelectorAll('.ttt-row span')].map(e => e.getBoundingClientRect())"
                                ".map(r => [(r.left + r.right) / 2, (r.top + r.bottom) / 2])")


def changed(player, before, after, middles):
    """The cells in which two pictures differ."""
    found = set()
    for box in player.see(before, "--compare", after)["boxes"]:
        for at, (x, y) in enumerate(middles):
            if box["x"] <= x + 12 and box["x"] + box["width"] >= x - 12 and box["y"] <= y + 12 and box["y"] + box["height"] >= y - 12:
                found.add(at)
    return found


def move(own, others):
    """Wins where it can, keeps the other from winning, takes the best cell that is left otherwise."""
    free = [cell for cell in ORDER if cell not in own | others]
    for side in (own, others):
        for line in LINES:
            left = [cell for cell in line if cell not in side]
            if len(left) == 1 and left[0] in free:
                return left[0]
    return free[0] if free else None


def tic_tac_toe(player, instance, sees, empty, middles):
    player.begin("tic-tac-toe", instance)
    own, others, refused = set(), set(), set()
    before = player.look("before")
    if sees:
        others = changed(player, empty, before, middles)
    for _ in range(9):
        cell = move(own, others | refused)
        if cell is None:
            break
        player.click(*middles[cell])
        over, won = player.judged()
        if over:
            return won
        after = player.look("after")
        if sees:
            others |= changed(player, before, after, middles) - {cell} - own
        own.add(cell)
        before = player.look("before")
    return False


def inbox(player, instance, sees):
    goal = player.begin("email-inbox-important", instance)
    sender = goal.split("email by ", 1)[1].split(" and click", 1)[0]
    if not sees:
        # The star of the first row.
        player.click(109, 86)
        return player.judged()[1]
    for _ in range(4):
        rows = [found["box"] for found in player.see(player.look("inbox"), "--find", sender)["found"]]
        rows = [box for box in rows if box["x"] < 150 and 68 <= box["y"] < 190]
        if rows:
            player.click(109, rows[0]["y"] + rows[0]["height"] / 2 + 5)
            return player.judged()[1]
        player.scroll(80, 150, 80)
    return False


def interval(won, count):
    z, share = 1.96, won / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return f"{won} of {count} ({100 * (middle - half):.0f}–{100 * (middle + half):.0f} %)"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sojourn")
    parser.add_argument("--instances", type=int, default=20)
    parser.add_argument("--chromium", default="chromium")
    parser.add_argument("--html", default=os.path.expanduser("~/.cache/sojourn/miniwob/miniwob/html"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        player = Player(options, place)
        try:
            # What an empty board looks like: the first picture of an episode in which the other one did not begin.
            firsts = []
            for instance in range(1001, 1009):
                player.begin("tic-tac-toe", instance)
                firsts.append(player.look(f"first-{instance}"))
            empty, middles = min(firsts, key=lambda path: path.stat().st_size), cells(player)
            for sees in (True, False):
                eyes = "with eyes" if sees else "without"
                won = sum(tic_tac_toe(player, at, sees, empty, middles) for at in range(1, options.instances + 1))
                print(f"tic-tac-toe            {eyes:10} {interval(won, options.instances)}", flush=True)
            for sees in (True, False):
                eyes = "with eyes" if sees else "without"
                won = sum(inbox(player, at, sees) for at in range(1, options.instances + 1))
                print(f"email-inbox-important  {eyes:10} {interval(won, options.instances)}", flush=True)
        finally:
            player.page.close()


if __name__ == "__main__":
    main()
