#!/usr/bin/env python3
"""Time and memory of each tool that sees or hears, by hand: perception_cost.py SOJOURN [--times 5] [--dual DIR] [--matcher DIR]
[--model GGUF --mmproj GGUF].

Every call is a process of its own, so loading the networks is part of it. Printed are the median, the smallest and the largest of the
wall clock and of the processor time, and the largest resident set. Processor time hardly depends on what else runs; the load of the
machine is printed before and after. What is missing (a model that was not pulled, espeak-ng) is named and left out.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCANS = ROOT / "examples/documents/scans"
SENTENCE = "The quick brown fox jumps over the lazy dog, and nobody in the whole village knows why it does so every morning."


def measured(command):
    """Wall clock and processor time in seconds, and the largest resident set in MB; or why it failed."""
    begun = time.monotonic()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        said = errors.read().decode()
    # 1 says of a comparison that the pictures differ.
    if process.returncode not in (0, 1) or "error: " in said:
        return None, said.strip().split("\n")[0]
    return (wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024), None


def spread(values, unit):
    return f"{statistics.median(values):7.2f} {unit} ({min(values):.2f}–{max(values):.2f})"


def load():
    return ", ".join(f"{value:.1f}" for value in os.getloadavg())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sojourn")
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--dual", help="folder of CLIP or SigLIP")
    parser.add_argument("--matcher", help="folder of BLIP")
    parser.add_argument("--model", help="a model that sees")
    parser.add_argument("--mmproj", help="its projector")
    options = parser.parse_args()
    picture, other = SCANS / "invoice-2041.png", SCANS / "letter.png"
    with tempfile.TemporaryDirectory() as place:
        sound = pathlib.Path(place) / "sound.wav"
        tools = {
            "size of a picture": ["see", picture],
            "see_read": ["see", picture, "--read"],
            "see_find": ["see", picture, "--find", "total"],
            "see_compare": ["see", picture, "--compare", picture],
            "see_similar, two pictures": ["see", picture, "--similar", other],
            "speak": ["speak", SENTENCE, "--out", sound],
            "hear_speech": ["hear", sound, "--speech"],
            "hear_transcribe": ["hear", sound],
        }
        if options.dual:
            tools["see_classify, 5 labels"] = ["see", picture, "--labels", "a cat,a dog,an invoice,a map,a face", "--dual", options.dual]
        if options.matcher:
            tools["see_match"] = ["see", picture, "--match", "an invoice", "--matcher", options.matcher]
        if options.model and options.mmproj:
            seeing = ["--model", options.model, "--mmproj", options.mmproj]
            tools["see_ask, 5 choices"] = ["see", picture, "--ask", "What is it?", "--choices", "cat,dog,invoice,map,face", *seeing]
        print(f"load {load()} on {os.cpu_count()} processors; {options.times} calls each")
        for name, arguments in tools.items():
            calls, first = [], True
            for _ in range(options.times + 1):
                if "--out" in arguments:
                    sound.unlink(missing_ok=True)
                call, reason = measured([options.sojourn, "--home", f"{place}/home", *map(str, arguments)])
                if call is None:
                    print(f"{name:26} left out: {reason}")
                    break
                # The first call reads files that no later one has to.
                if first:
                    first = False
                else:
                    calls.append(call)
            else:
                wall, processor, memory = zip(*calls)
                print(f"{name:26} {spread(wall, 's')}   processor {spread(processor, 's')}   {max(memory):5.0f} MB")
        print(f"load {load()}")


if __name__ == "__main__":
    main()
