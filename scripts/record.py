#!/usr/bin/env python3
"""Records a program in a terminal (tmux) and writes the recording as an animated SVG.

    scripts/record.py --out demo.svg --title "make demo" --seconds 600 -- make demo

The recording is a time lapse: `--frames` pictures, taken at equal distances, shown within `--play` seconds. A viewer without
animation shows the last picture. `--key SECONDS:KEY` presses a key, as tmux names it.
"""

import argparse
import html
import os
import re
import shlex
import subprocess
import time

WIDTH, HEIGHT = 8.4, 18.0  # of a character, in pixels
MARGIN, BAR = 14, 34
PALETTE = ["#3b4252", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#d8dee9",
           "#7f8ea3", "#ef8a92", "#b2d99a", "#f0d399", "#83c3f5", "#d79ae6", "#7fcfd8", "#ffffff"]
BACKGROUND, FOREGROUND = "#1e2430", "#d8dee9"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--title", required=True, help="the command as a person types it")
    parser.add_argument("--columns", type=int, default=100)
    parser.add_argument("--rows", type=int, default=26)
    parser.add_argument("--seconds", type=float, default=600, help="after which the program is ended")
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--play", type=float, default=40, help="seconds that the animation takes")
    parser.add_argument("--key", action="append", default=[], metavar="SECONDS:KEY")
    parser.add_argument("command", nargs="+")
    return parser.parse_args()


def record(options):
    """Pictures of the terminal, each a time and a list of lines with escape codes."""
    tmux = ["tmux", "-L", f"record-{os.getpid()}", "-f", "/dev/null"]
    command = " ".join(map(shlex.quote, options.command))
    start = [*tmux, "new-session", "-d", "-x", str(options.columns), "-y", str(options.rows)]
    subprocess.run([*start, f"printf '$ %s\\n' {shlex.quote(options.title)}; sleep 1; {command}; sleep 2"], check=True)
    keys = sorted((float(at), key) for at, key in (one.split(":", 1) for one in options.key))
    begin, pictures = time.monotonic(), []
    try:
        while (now := time.monotonic() - begin) < options.seconds:
            while keys and keys[0][0] <= now:
                subprocess.run([*tmux, "send-keys", keys.pop(0)[1]], check=False)
            seen = subprocess.run([*tmux, "capture-pane", "-e", "-p"], capture_output=True, text=True)
            if seen.returncode != 0:  # the program has ended, and tmux with it
                break
            lines = seen.stdout.rstrip("\n").split("\n")
            if not pictures or pictures[-1][1] != lines:
                pictures.append((now, lines))
            time.sleep(0.1)
    finally:
        subprocess.run([*tmux, "kill-server"], stderr=subprocess.DEVNULL, check=False)
    return pictures


def lapse(pictures, frames):
    """At most `frames` pictures at equal distances of time."""
    end, chosen, position = pictures[-1][0], [], 0
    for number in range(frames):
        moment = end * number / max(1, frames - 1)
        while position + 1 < len(pictures) and pictures[position + 1][0] <= moment:
            position += 1
        chosen.append(pictures[position][1])
    return chosen


def colour(codes):
    """The colour that the numbers after 38 or 48 name."""
    kind = codes.pop(0) if codes else None
    if kind == 2:
        red, green, blue = codes.pop(0), codes.pop(0), codes.pop(0)
        return f"#{red:02x}{green:02x}{blue:02x}"
    number = codes.pop(0) if codes else 7
    if number < 16:
        return PALETTE[number]
    if number >= 232:
        return "#" + f"{8 + 10 * (number - 232):02x}" * 3
    number -= 16
    levels = [0, 95, 135, 175, 215, 255]
    return "#" + "".join(f"{levels[part]:02x}" for part in (number // 36, number // 6 % 6, number % 6))


def spans(line):
    """Pieces of a line: column, text, colour, background, bold, dim."""
    plain = dict(colour=None, background=None, bold=False, dim=False, inverse=False)
    style, column, pieces = dict(plain), 0, []
    for part in re.split(r"(\x1b\[[0-9;:]*m|\x1b\([A-Z0-9]|[\x0e\x0f])", line):
        if not part:
            continue
        if part[0] not in "\x1b\x0e\x0f":
            pieces.append((column, part, dict(style)))
            column += len(part)
            continue
        if not part.startswith("\x1b["):
            continue
        codes = [int(code or 0) for code in re.split("[;:]", part[2:-1])]
        while codes:
            code = codes.pop(0)
            if code == 0:
                style = dict(plain)
            elif code in (1, 2, 7):
                style[{1: "bold", 2: "dim", 7: "inverse"}[code]] = True
            elif code == 22:
                style["bold"] = style["dim"] = False
            elif code == 27:
                style["inverse"] = False
            elif 30 <= code <= 37 or 90 <= code <= 97:
                style["colour"] = PALETTE[code % 10 + (8 if code >= 90 else 0)]
            elif 40 <= code <= 47 or 100 <= code <= 107:
                style["background"] = PALETTE[code % 10 + (8 if code >= 100 else 0)]
            elif code == 38:
                style["colour"] = colour(codes)
            elif code == 48:
                style["background"] = colour(codes)
            elif code == 39:
                style["colour"] = None
            elif code == 49:
                style["background"] = None
    return pieces


def visible(text):
    """The text for SVG, which would make one space of several."""
    return html.escape(text, quote=False).replace(" ", "\u00a0")


def draw(line):
    """A line as SVG."""
    drawn = []
    for column, text, style in spans(line):
        fill, back = style["colour"] or FOREGROUND, style["background"]
        if style["inverse"]:
            fill, back = back or BACKGROUND, fill
        x, width = column * WIDTH, len(text) * WIDTH
        if back:
            drawn.append(f'<rect x="{x:g}" width="{width:g}" height="{HEIGHT:g}" fill="{back}"/>')
        if not text.strip():
            continue
        kept = text.strip()
        x += (len(text) - len(text.lstrip())) * WIDTH
        look = f' fill="{fill}"' if fill != FOREGROUND else ""
        look += ' font-weight="bold"' if style["bold"] else ""
        look += ' opacity=".65"' if style["dim"] else ""
        width = len(kept) * WIDTH
        drawn.append(f'<text x="{x:g}" y="13.5" textLength="{width:g}"{look}>{visible(kept)}</text>')
    return "".join(drawn)


def svg(frames, options, seconds):
    """The animation: all frames beside each other, and a window that jumps from one to the next."""
    width, height = options.columns * WIDTH + 2 * MARGIN, options.rows * HEIGHT + BAR + MARGIN
    lines, drawn = {}, []
    for number, frame in enumerate(frames):
        uses = []
        for row, line in enumerate(frame[: options.rows]):
            if line.strip():
                name = lines.setdefault(line, f"l{len(lines)}")
                uses.append(f'<use href="#{name}" y="{row * HEIGHT:g}"/>')
        drawn.append(f'<g transform="translate({number * width:g})">{"".join(uses)}</g>')
    known = "".join(f'<g id="{name}">{draw(line)}</g>' for line, name in lines.items())
    last, rest = (len(frames) - 1) * width, 5.0
    share = 100 * options.play / (options.play + rest)
    minutes = f"{seconds / 60:.0f} minutes" if seconds >= 100 else f"{seconds:.0f} seconds"
    title = html.escape(options.title)
    speed = f" · {minutes} in {options.play:g} seconds" if seconds > 1.5 * options.play else ""
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="A recording of {title}" font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace" font-size="14">
<style>
#film{{transform:translateX(-{last:g}px)}}
@media (prefers-reduced-motion:no-preference){{#film{{animation:play {options.play + rest:g}s steps(1,end) infinite}}}}
@keyframes play{{{keyframes(len(frames), width, share)}}}
</style>
<defs>{known}</defs>
<rect width="{width:g}" height="{height:g}" rx="9" fill="{BACKGROUND}"/>
<circle cx="20" cy="17" r="5.5" fill="#e06c75"/><circle cx="38" cy="17" r="5.5" fill="#e5c07b"/><circle cx="56" cy="17" r="5.5" fill="#98c379"/>
<text x="78" y="22" fill="{FOREGROUND}" opacity=".8">{title}{speed}</text>
<svg x="{MARGIN}" y="{BAR}" width="{width - 2 * MARGIN:g}" height="{options.rows * HEIGHT:g}"><g id="film" fill="{FOREGROUND}">{"".join(drawn)}</g></svg>
</svg>
"""


def keyframes(count, width, share):
    steps = (f"{share * number / count:.3f}%{{transform:translateX(-{number * width:g}px)}}" for number in range(count))
    return "".join(steps) + f"100%{{transform:translateX(-{(count - 1) * width:g}px)}}"


def main():
    options = arguments()
    pictures = record(options)
    # The last picture of a program that clears its screen is empty: what it showed before stays.
    while len(pictures) > 1 and not any(line.strip() for line in pictures[-1][1]):
        pictures.pop()
    frames = lapse(pictures, options.frames)
    text = svg(frames, options, pictures[-1][0])
    if len(text) > 1_000_000:
        raise SystemExit(f"error: {options.out} would have {len(text)} bytes; use fewer --frames")
    with open(options.out, "w", encoding="utf-8") as file:
        file.write(text)
    print(f"{options.out}: {len(text)} bytes, {len(frames)} frames")


main()
