"""A desk where questions about documents are asked: one question for each episode, by its seed.

It speaks the process protocol (tools/PROCESS.md). It knows the answers, so the log says which questions were answered. The agent
knows nothing but the question: the answers stand in the pictures in `scans`.
"""

import json
import sys

QUESTIONS = [
    ("What is the total of invoice-2041.png? Give the number.", "318.40"),
    ("On which day is invoice-2042.png due?", "3 april"),
    ("With whom is the spare key, by letter.png?", "baker"),
]
WORLD = {
    "name": "desk",
    "version": "1",
    "about": "A desk with a question about scanned documents.",
    "controls": "The documents are pictures: docs_read gives the handle of one, and see_read the text in it.",
    "deterministic": True,
    "actions": [{
        "name": "answer",
        "description": "answers the question, in a few words",
        "input": {"type": "object", "properties": {"text": {"type": "string", "maxLength": 60}}, "required": ["text"],
                  "additionalProperties": False},
    }],
    "tasks": [{"name": "answer_question", "description": "answer the question", "achievement": True,
               "goal": {"increased": {"path": "/answered", "by": 1}}}],
}
MOST_ANSWERS = 3

question, expected = QUESTIONS[0]
answered, tries = 0, 0


def seen(**more):
    state = {"question": question, "answered": answered, "tries": tries}
    return {"state": state, "text": f"Question: {question}", **more}


def step(args):
    global answered, tries
    tries += 1
    if expected in args["text"].lower():
        answered = 1
        return seen(reward=1.0, unlocked=["answer_question"], ended="succeeded")
    return seen(reward=0.0, failed="that is not what the document says", ended="time_up" if tries == MOST_ANSWERS else None)


for line in sys.stdin:
    request = json.loads(line)
    method, params = request["method"], request.get("params", {})
    if method == "describe":
        result = {"environment": WORLD}
    elif method == "reset":
        question, expected = QUESTIONS[params["seed"] % len(QUESTIONS)]
        answered, tries = 0, 0
        result = seen()
    elif method == "step":
        result = step(params["args"])
    else:
        continue
    print(json.dumps({"id": request["id"], "result": result}), flush=True)
