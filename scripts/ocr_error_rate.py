#!/usr/bin/env python3
"""Measures the character error rate of `sojourn see --read` on rendered lines.

    pip install pygame-ce
    python3 scripts/ocr_error_rate.py sojourn

Every line has its own font, size, slant and noise, all drawn from one seed, so a second run measures the same pictures. The rate is
the edit distance between what was drawn and what was read, divided by the characters drawn; spaces count.
"""

import json
import os
import random
import subprocess
import sys
import tempfile

os.environ["SDL_VIDEODRIVER"] = os.environ["SDL_AUDIODRIVER"] = "dummy"
import pygame

FONTS = "/usr/share/fonts/truetype/dejavu/"
NAMES = ["DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSerif.ttf", "DejaVuSansMono.ttf"]
WORDS = """account address amount annual balance before between border bridge building business calendar captain carefully certain
change charge clear coffee collect company contract corner country current customer deliver deposit different discount document
dozen energy evening except express fortune freight garden general harbour honest imagine income invoice journey kitchen language
letter library machine manager measure message minute monthly mountain number office order paper payment person picture please
police postage price process product quality quarter question receipt record reference remember return river season second
service shipment signature station street student summer supply telephone thousand ticket traffic travel trouble utility valley
village weather weekend window winter wonder yellow""".split()
PAGES, LINES, HEIGHT, WIDTH = 24, 10, 84, 1000


def text(rng):
    parts = [rng.choice(WORDS) for _ in range(rng.randint(2, 4))]
    parts[0] = parts[0].capitalize()
    extra = rng.random()
    if extra < 0.25:
        parts.append(f"{rng.randint(1, 9999)}.{rng.randint(0, 99):02}")
    elif extra < 0.4:
        parts.append(f"No. {rng.randint(100, 99999)}")
    elif extra < 0.5:
        parts.append(f"({rng.randint(1, 31)}/{rng.randint(1, 12)}/{rng.randint(2000, 2030)})")
    return " ".join(parts)


def page(rng):
    """A picture of lines, and for each its text, size and whether it is slanted or noisy."""
    surface = pygame.Surface((WIDTH, LINES * HEIGHT))
    surface.fill((255, 255, 255))
    drawn = []
    for row in range(LINES):
        size, slant = rng.choice([14, 18, 24, 32]), rng.choice([0, 0, 0, -2, 2])
        noisy, words = rng.random() < 0.3, text(rng)
        ink, paper = rng.choice([((0, 0, 0), (255, 255, 255)), ((40, 40, 90), (235, 230, 215)), ((240, 240, 240), (30, 40, 50))])
        band = pygame.Rect(0, row * HEIGHT, WIDTH, HEIGHT)
        surface.fill(paper, band)
        picture = pygame.font.Font(FONTS + rng.choice(NAMES), size).render(words, True, ink, paper)
        if slant:
            picture = rotated(picture, slant, paper)
        surface.blit(picture, (30, row * HEIGHT + (HEIGHT - picture.get_height()) // 2))
        if noisy:
            for _ in range(WIDTH * HEIGHT // 40):
                x, y = rng.randrange(WIDTH), row * HEIGHT + rng.randrange(HEIGHT)
                grey = rng.choice([60, 120, 180])
                surface.set_at((x, y), (grey, grey, grey))
        drawn.append({"text": words, "size": size, "slant": slant, "noisy": noisy})
    return surface, drawn


def rotated(picture, degrees, paper):
    turned = pygame.transform.rotozoom(picture, degrees, 1.0)
    flat = pygame.Surface(turned.get_size())
    flat.fill(paper)
    flat.blit(turned, (0, 0))
    return flat


def distance(one, other):
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        last, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (a != b))
    return row[-1]


def main():
    program = sys.argv[1] if len(sys.argv) > 1 else "sojourn"
    rng, groups, worst = random.Random(1), {}, []
    pygame.font.init()
    with tempfile.TemporaryDirectory() as place:
        for number in range(PAGES):
            surface, drawn = page(rng)
            path = os.path.join(place, "page.png")
            pygame.image.save(surface, path)
            lines = json.loads(subprocess.run([program, "see", path, "--read", "--json"], check=True, capture_output=True).stdout)["lines"]
            for row, line in enumerate(drawn):
                here = [read for read in lines if (read["box"]["y"] + read["box"]["height"] / 2) // HEIGHT == row]
                read = " ".join(read["text"] for read in sorted(here, key=lambda read: read["box"]["x"]))
                wrong = distance(line["text"], read)
                if wrong:
                    worst.append((wrong, line["text"], read))
                names = ["all", f"{line['size']} px", "slanted" if line["slant"] else "level", "noisy" if line["noisy"] else "clean"]
                for name in names:
                    count = groups.setdefault(name, [0, 0, 0])
                    count[0] += 1
                    count[1] += len(line["text"])
                    count[2] += wrong
            print(f"\r{number + 1}/{PAGES} pages", end="", file=sys.stderr)
    print(file=sys.stderr)
    for name, (lines, characters, wrong) in sorted(groups.items()):
        print(f"{name:8} {lines:4} lines {characters:6} characters {100 * wrong / characters:6.2f} % wrong")
    for wrong, text_, read in sorted(worst, reverse=True)[:5]:
        print(f"  {wrong} wrong: {text_!r} was read as {read!r}")


if __name__ == "__main__":
    main()
