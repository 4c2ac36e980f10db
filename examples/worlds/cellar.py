"""A text adventure with one action, `command(text)`, over the process protocol. Nothing says what to do."""
import json
import sys

ROOMS = {"garden": {"north": "hall"}, "hall": {"south": "garden", "east": "kitchen", "down": "cellar"},
         "kitchen": {"west": "hall"}, "cellar": {"up": "hall"}}
TEXT = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"], "additionalProperties": False}
WORLD = {"name": "cellar", "version": "1", "deterministic": True, "about": "A house in the country.",
         "actions": [{"name": "command", "description": "says to the game what to do", "input": TEXT}]}


def look():
    """What is seen where the player is."""
    if room == "cellar" and not lit:
        return "It is dark here. You see nothing."
    things = [thing for thing, place in places.items() if place == room]
    return f"You are in the {room}. Exits: {', '.join(ROOMS[room])}. You see: {', '.join(things) or 'nothing'}."


def seen(message, reward=0.0, failed=None):
    """An observation."""
    carried = [thing for thing, place in places.items() if place == "player"]
    text = f"{message} {look()}".strip()
    return {"text": text, "state": {"text": text, "room": room, "carrying": carried, "lit": lit}, "reward": reward,
            "ended": "succeeded" if reward else None, "failed": failed}


def reset(seed):
    """Every episode begins in the garden with the same things."""
    global room, places, lit
    room, lit = "garden", False
    places = {"lamp": "kitchen", "spoon": "kitchen", "chest": "cellar", "rake": "garden"}
    return seen("")


def step(action, args):
    """Understands `go DIRECTION`, `take THING`, `light lamp`, `open chest` and `look`."""
    global room, lit
    verb, _, thing = args["text"].strip().lower().partition(" ")
    if verb == "go" and thing in ROOMS[room]:
        room = ROOMS[room][thing]
        return seen("")
    if verb == "take" and places.get(thing) == room and thing != "chest" and (room != "cellar" or lit):
        places[thing] = "player"
        return seen(f"You take the {thing}.")
    if (verb, thing) == ("light", "lamp") and places["lamp"] == "player" and not lit:
        lit = True
        return seen("The lamp is lit.")
    if (verb, thing) == ("open", "chest") and room == "cellar" and lit:
        return seen("The chest is full of gold!", reward=1.0)
    return seen("") if verb == "look" else seen("That does not work.", failed="it does not work")


answers = {"describe": lambda: {"environment": WORLD}, "reset": reset, "step": step}
for line in sys.stdin:
    request = json.loads(line)
    if request["method"] in answers:
        result = answers[request["method"]](**(request.get("params") or {}))
        print(json.dumps({"id": request["id"], "result": result}), flush=True)
