#!/usr/bin/env python3
"""Soak test: runs many agents on one served model, and reports memory growth and the longest queueing times.

    python3 bench/crowd.py --minutes 30 --runs 8 [--program target/debug/sojourn]

The script serves the default model and starts the runs, each with its own home and seed. It samples the server's
memory every ten seconds. At the end it reads from each run's log the number of answers and their times.
"""

import argparse
import json
import os
import pathlib
import subprocess
import tempfile
import time

TOKEN = "soak-test-only"


def resident_mib(pid):
    """Anonymous memory of the process and its children in MiB. A child process holds the model."""
    kilobytes = 0
    children = [lines.read_text().split() for lines in pathlib.Path(f"/proc/{pid}/task").glob("*/children")]
    for process in [pid, *sum(children, [])]:
        try:
            status = pathlib.Path(f"/proc/{process}/status").read_text()
        except FileNotFoundError:
            continue
        kilobytes += sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon:"))
    return kilobytes / 1024


def answers(program, home, environment):
    """Queue time and total time of each answer of the run in `home`, in milliseconds."""
    listed = subprocess.run([program, "--home", home, "log", "latest", "--kind", "controller_answered", "--json"],
                            env=environment, capture_output=True, text=True, check=True)
    times = []
    for line in listed.stdout.splitlines():
        timing = json.loads(line)["payload"]["reply"]["timing"]
        times.append((timing["queue_ms"], sum(timing.values())))
    return times


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--program", default="target/debug/sojourn")
    parser.add_argument("--port", type=int, default=8819)
    options = parser.parse_args()
    environment = {**os.environ, "SOJOURN_MODEL_TOKEN": TOKEN}
    directory = tempfile.TemporaryDirectory()
    address = f"127.0.0.1:{options.port}"
    server = subprocess.Popen([options.program, "models", "serve", "--http", address], env=environment,
                              stderr=subprocess.PIPE, text=True)
    for line in server.stderr:
        if "serving at" in line:
            break
    sets = ["controller.kind=\"served\"", f"controller.base_url=\"http://{address}\"",
            "controller.api_key_env=\"SOJOURN_MODEL_TOKEN\""]
    homes = [str(pathlib.Path(directory.name) / f"home-{number}") for number in range(options.runs)]
    runs = []
    for number, home in enumerate(homes):
        command = [options.program, "--home", home, "run", "crafter", "--seed", str(number + 1),
                   "--time", f"{int(options.minutes * 60)}s", "--json"]
        for assignment in sets:
            command += ["--set", assignment]
        runs.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL))
    memory = []
    try:
        return watch(options, environment, server, homes, runs, memory)
    finally:
        server.terminate()
        server.wait(30)


def watch(options, environment, server, homes, runs, memory):
    """Waits for the runs to end and prints the results as JSON."""
    while any(run.poll() is None for run in runs):
        time.sleep(10)
        memory.append(round(resident_mib(server.pid), 1))
    results = []
    for run, home in zip(runs, homes):
        result = json.loads(run.stdout.read() or "{}")
        times = answers(options.program, home, environment)
        results.append({
            "exit": run.returncode,
            "answers": len(times),
            "longest_wait_ms": max((queue for queue, _ in times), default=0),
            "longest_answer_ms": max((total for _, total in times), default=0),
            "steps": result.get("steps"),
            "skills": result.get("skills"),
        })
    third = max(1, len(memory) // 3)
    print(json.dumps({
        "minutes": options.minutes,
        "server_mib": {"after_a_third": max(memory[:third]), "at_the_end": max(memory[-third:]), "all": memory},
        "runs": results,
    }, indent=1))


if __name__ == "__main__":
    main()
