#!/usr/bin/env python3
"""Words that `sojourn hear` writes down wrongly: word_error_rate.py SOJOURN [FOLDER].

FOLDER has a file `transcription` with lines `<s> words </s> (name)`, and name.wav beside it, as Debian's pocketsphinx-testdata has in
/usr/share/pocketsphinx/test/data/librivox. Punctuation and case do not count.
"""

import json
import pathlib
import re
import subprocess
import sys
import time


def words(text):
    return re.sub(r"[^\w']+", " ", text.lower().replace("mr.", "mister").replace("-", " ")).split()


def distance(one, other):
    row = list(range(len(other) + 1))
    for at, word in enumerate(one):
        before, row[0] = row[0], at + 1
        for column, theirs in enumerate(other):
            before, row[column + 1] = row[column + 1], min(before + (word != theirs), row[column] + 1, row[column + 1] + 1)
    return row[-1]


def main():
    program, folder = sys.argv[1], pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else "/usr/share/pocketsphinx/test/data/librivox")
    wrong = count = length = 0
    begun = time.monotonic()
    for line in (folder / "transcription").read_text().splitlines():
        spoken, name = re.fullmatch(r"<s> (.*) </s> \((.*)\)", line.strip()).groups()
        found = subprocess.run([program, "hear", folder / f"{name}.wav", "--json"], capture_output=True, text=True, check=False)
        heard = json.loads(found.stdout)
        text = " ".join(segment["text"] for segment in heard["segments"])
        wrong, count = wrong + distance(words(spoken), words(text)), count + len(words(spoken))
        length += heard["duration_ms"] / 1000
        print(f"{name}: {text}")
    took = time.monotonic() - begun
    print(f"{wrong} of {count} words are wrong: {100 * wrong / count:.1f} %; {length:.1f} s of sound took {took:.1f} s")


main()
