#!/usr/bin/env python3
"""Measures `sojourn see` on screenshots of pages: how often a click where `--find` says hits the word, and what `--read` reads wrongly.

    python3 scripts/box_hit_rate.py SOJOURN [TASK…] [--words 6] [--instances 1] [--keep FOLDER]

The pages are the development tasks of MiniWoB++ (`sojourn environments install miniwob`), by default all in examples/miniwob/dev-tasks.txt.
Chromium draws each at 500 × 400 pixels. Its own layout says which words are visible and where. Words of at least three letters are
drawn by lot and looked for, one call each; a hit is a first match whose middle lies in the box of a visible occurrence of the
word. For the character error rate, words that stand beside each other are compared with what was read there, without spaces; what
stands in fields, lists of choices, canvases and images is left out, because the layout does not say what it reads.
"""

import argparse
import base64
import collections
import concurrent.futures
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bench"))
from studio import Page  # noqa: E402

SIZE = 500, 400
BEGIN = """new Promise((done, fail) => {
  const until = Date.now() + 10000;
  const wait = (ready, then) => ready() ? then() : Date.now() > until ? fail(new Error('late')) : setTimeout(() => wait(ready, then), 5);
  wait(() => typeof core !== 'undefined' && core.cover_div, () => {
    core.EPISODE_MAX_TIME = 86400000;
    core.endEpisode(0);
    Math.seedrandom(INSTANCE);
    core.setDataMode('train');
    core.startEpisodeReal();
    wait(() => WOB_TASK_READY, () => setTimeout(() => done(true), 300));
  });
})"""
WORDS = """(() => {
  const words = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const box = r => [r.left, r.top, r.right, r.bottom];
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const parent = node.parentElement;
    if (!parent || parent.closest('script, style, select, textarea, input, canvas, #click-canvas, #sync-task-cover')) continue;
    const style = getComputedStyle(parent);
    if (style.visibility !== 'visible' || +style.opacity < 0.5) continue;
    for (const found of node.data.matchAll(/\\S+/g)) {
      const range = document.createRange();
      range.setStart(node, found.index);
      range.setEnd(node, found.index + found[0].length);
      const rects = range.getClientRects();
      if (rects.length !== 1) continue;
      const r = rects[0], x = (r.left + r.right) / 2, y = (r.top + r.bottom) / 2;
      if (r.width < 2 || r.height < 2 || r.left < 0 || r.top < 0 || r.right > innerWidth || r.bottom > innerHeight) continue;
      // Covered, or cut off by what scrolls.
      const seen = [[x, y], [r.left + 1, r.top + 2], [r.right - 1, r.bottom - 2]].every(([x, y]) => {
        const top = document.elementFromPoint(x, y);
        return top && (top === parent || parent.contains(top) || top.contains(parent) && top.id !== 'sync-task-cover');
      });
      const clips = [];
      for (let up = parent; up; up = up.parentElement)
        if (getComputedStyle(up).overflow !== 'visible') clips.push(up.getBoundingClientRect());
      const cut = clips.some(c => r.bottom > c.bottom + 1 || r.top < c.top - 1 || r.right > c.right + 1 || r.left < c.left - 1);
      const shown = style.textTransform === 'uppercase' ? found[0].toUpperCase() : found[0];
      if (seen && !cut) words.push({text: shown, box: box(r), size: parseFloat(style.fontSize), asked: !!parent.closest('#query')});
    }
  }
  const other = [...document.querySelectorAll('input, select, textarea, canvas:not(#click-canvas), img')].map(e => box(e.getBoundingClientRect()));
  return {words, other};
})()"""


def distance(one, other):
    row = list(range(len(other) + 1))
    for at, a in enumerate(one, 1):
        last, row[0] = row[0], at
        for column, b in enumerate(other, 1):
            last, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, last + (a != b))
    return row[-1]


def inside(x, y, box):
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]


def segments(words):
    """Words that stand close beside each other, from left to right: their box and text."""
    found = []
    for word in sorted(words, key=lambda word: (word["box"][1] + word["box"][3], word["box"][0])):
        left, top, right, bottom = word["box"]
        for segment in found:
            box = segment["box"]
            if abs((top + bottom) - (box[1] + box[3])) < bottom - top and -2 <= left - box[2] < bottom - top:
                segment["box"] = [box[0], min(top, box[1]), right, max(bottom, box[3])]
                segment["text"] += word["text"]
                break
        else:
            found.append({"box": list(word["box"]), "text": word["text"]})
    return found


def misread(layout, lines):
    """Characters in all and wrong ones. A line that was read belongs to what it covers; what covers the same is compared together."""
    parts = segments(layout["words"])
    groups = [({at}, []) for at in range(len(parts))]
    for line in lines:
        box = line["box"]
        left, right, y = box["x"], box["x"] + box["width"], box["y"] + box["height"] / 2
        if any(inside((left + right) / 2, y, other) for other in layout["other"]):
            continue
        covered = set()
        for at, part in enumerate(parts):
            wide = min(right, part["box"][2]) - max(left, part["box"][0])
            near = abs((part["box"][1] + part["box"][3]) / 2 - y) < 0.4 * min(box["height"], part["box"][3] - part["box"][1])
            if near and wide > 0:
                covered.add(at)
        if covered:
            joined = [group for group in groups if group[0] & covered]
            groups = [group for group in groups if not group[0] & covered]
            groups.append((set().union(*(group[0] for group in joined)), [*sum((group[1] for group in joined), []), line]))
    characters = wrong = 0
    for members, read in groups:
        drawn = "".join(parts[at]["text"] for at in sorted(members, key=lambda at: parts[at]["box"][0]))
        told = "".join(line["text"] for line in sorted(read, key=lambda line: line["box"]["x"])).replace(" ", "")
        characters, wrong = characters + len(drawn), wrong + min(len(drawn), distance(drawn, told))
    return characters, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sojourn")
    parser.add_argument("tasks", nargs="*")
    parser.add_argument("--words", type=int, default=6, help="words to look for on each page")
    parser.add_argument("--instances", type=int, default=1, help="pages of each task")
    parser.add_argument("--chromium", default="chromium")
    parser.add_argument("--html", default=os.path.expanduser("~/.cache/sojourn/miniwob/miniwob/html"))
    parser.add_argument("--keep", help="folder for the screenshots and what was expected of them")
    options = parser.parse_args()
    tasks = options.tasks or (ROOT / "examples/miniwob/dev-tasks.txt").read_text().split()
    rng, shots = random.Random(1), []
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(options.keep or place)
        folder.mkdir(parents=True, exist_ok=True)
        page = Page(options.chromium, place)
        try:
            page.send("Emulation.setDeviceMetricsOverride", width=SIZE[0], height=SIZE[1], deviceScaleFactor=1, mobile=False)
            for task in tasks:
                for instance in range(options.instances):
                    page.send("Page.navigate", url=f"file://{options.html}/miniwob/{task}.html")
                    page.until(f"location.pathname.endsWith('/{task}.html') && document.readyState === 'complete'")
                    page.evaluate(BEGIN.replace("INSTANCE", str(instance + 1)))
                    layout = page.evaluate(WORDS)
                    path = folder / f"{task}-{instance}.png"
                    path.write_bytes(base64.b64decode(page.send("Page.captureScreenshot", format="png")["data"]))
                    usable = sorted({word["text"] for word in layout["words"] if sum(map(str.isalnum, word["text"])) >= 3})
                    path.with_suffix(".json").write_text(json.dumps(layout))
                    shots.append((path, layout, rng.sample(usable, min(options.words, len(usable)))))
        finally:
            page.close()

        def see(path, *how):
            told = subprocess.run([options.sojourn, "see", path, *how, "--json"], capture_output=True, text=True, check=False)
            return json.loads(told.stdout) if told.stdout else sys.exit(told.stderr)

        def looked(shot):
            path, layout, words = shot
            characters, wrong = misread(layout, see(path, "--read")["lines"])
            results = []
            for word in words:
                found = see(path, "--find", word)["found"]
                there = [other for other in layout["words"] if word.lower() in other["text"].lower()]
                hit = False
                if found:
                    box = found[0]["box"]
                    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
                    hit = any(inside(x, y, other["box"]) for other in there)
                results.append((word, there[0]["size"], bool(found), hit))
            return path.stem, characters, wrong, results

        groups, characters, wrong, missed = collections.defaultdict(lambda: [0, 0, 0]), 0, 0, []
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for done, (name, count, errors, results) in enumerate(pool.map(looked, shots), 1):
                print(f"\r{done}/{len(shots)} pages", end="", file=sys.stderr)
                characters, wrong = characters + count, wrong + errors
                for word, size, found, hit in results:
                    for group in ("all", f"{size:g} px"):
                        for at, value in enumerate((1, found, hit)):
                            groups[group][at] += value
                    if not hit:
                        missed.append(f"{name}: {word!r} {'elsewhere' if found else 'not found'}")
    print(file=sys.stderr)
    print(f"{len(shots)} pages, {characters} characters, {100 * wrong / max(1, characters):.2f} % wrong")
    for group, (count, found, hit) in sorted(groups.items()):
        print(f"{group:8} {count:5} words {100 * found / count:6.1f} % found {100 * hit / count:6.1f} % hit")
    print("\n".join(missed))


if __name__ == "__main__":
    main()
