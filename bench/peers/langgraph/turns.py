"""The loop of `cargo measure log` in LangGraph, with its SQLite checkpointer and a model that answers immediately.

    python -m venv VENV && VENV/bin/pip install -r bench/peers/langgraph/requirements.txt
    cargo measure log --peer "VENV/bin/python bench/peers/langgraph/turns.py" --json

One turn is a model call and a step of the environment: two nodes, each followed by a checkpoint, as is LangGraph's
default. With `sync`, every checkpoint is durable before the next node runs. SQLite uses the same synchronous mode as in
Sojourn.
"""

import json
import sqlite3
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import TypedDict

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph

PROMPT = "You decide what the player does next. " * 30


class State(TypedDict):
    turn: int
    prompt: str
    answer: str
    state: dict


def think(state: State) -> dict:
    return {"prompt": PROMPT, "answer": '{"task": "collect_wood"}'}


def act(state: State) -> dict:
    turn = state["turn"] + 1
    seen = {"tree": {"distance": turn % 9, "dx": -3}, "coal": {"distance": 2, "dx": -2}, "table": {"dx": 5}}
    return {
        "turn": turn,
        "state": {"facing": "stone", "near": ["coal", "stone"], "position": [turn % 64, turn // 64], "seen": seen},
    }


def measure(turns: int, path: Path, durability: str) -> float:
    """Microseconds per turn."""
    connection = sqlite3.connect(path, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    graph = StateGraph(State)
    graph.add_node("think", think)
    graph.add_node("act", act)
    graph.add_edge(START, "think")
    graph.add_edge("think", "act")
    graph.add_conditional_edges("act", lambda state: END if state["turn"] >= turns else "think")
    agent = graph.compile(checkpointer=SqliteSaver(connection))
    config = {"configurable": {"thread_id": "speed"}, "recursion_limit": 2 * turns + 10}
    begun = time.perf_counter()
    agent.invoke({"turn": 0, "prompt": "", "answer": "", "state": {}}, config, durability=durability)
    seconds = time.perf_counter() - begun
    connection.close()
    return seconds / turns * 1e6


def main() -> None:
    turns, directory = int(sys.argv[1]), Path(sys.argv[2])
    sync = measure(turns, directory / "langgraph-sync.db", "sync")
    lazy = measure(turns, directory / "langgraph-async.db", "async")
    size = (directory / "langgraph-sync.db").stat().st_size
    print(
        json.dumps(
            {
                "peer": f"langgraph {version('langgraph')}, sqlite checkpointer {version('langgraph-checkpoint-sqlite')}",
                "turns": turns,
                "us_per_turn": sync,
                "us_per_turn_async": lazy,
                "bytes_per_turn": size / turns,
            }
        )
    )


if __name__ == "__main__":
    main()
