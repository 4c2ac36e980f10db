"""Serves a Gymnasium environment over the protocol of tools/PROCESS.md: python gym_bridge.py SETTINGS (JSON).

Settings: {"name": "gym:MiniGrid-Empty-5x5-v0", "id": "MiniGrid-Empty-5x5-v0", "make": {...}, "actions": [...] or null}.
"""

import base64
import difflib
import importlib
import inspect
import json
import os
import re
import struct
import sys
import zlib

# Environments may print to standard output, so the protocol uses a copy of it.
OUT = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)

import gymnasium  # noqa: E402
import numpy  # noqa: E402

# Packages that register their environments on import, by the first word of an id in small letters.
FAMILIES = {"minigrid": "minigrid", "babyai": "minigrid", "ale": "ale_py", "minihack": "minihack", "nethack": "nle"}
# Limit on the elements of an array or a list; of a larger one only the shape is shown.
LARGEST = 1000
# Limit on the characters of a text, and on the depth of nested values, which JSON readers limit too.
LONGEST, DEEPEST = 20_000, 30
# A `Discrete` space with more actions than this becomes one action with a number; most numbers of one action.
MOST_NAMES, MOST_AXES = 64, 32
# Larger bounds of a number are no bounds.
MOST_BOUND = 1e6
# Random play by which a goal is chosen: episodes, and their steps together.
PROBED_EPISODES, PROBED_STEPS = 10, 500
# Rewards count within these bounds, so that their sum stays a number.
MOST_REWARD = 1e12


def make(settings):
    environment = make_as_asked(settings["id"], settings["make"])
    spec = environment.spec
    if spec is not None and spec.id != settings["id"].split(":")[-1]:
        # Skills belong to a world by its name, and another version is another world.
        sys.exit(f"`{settings['id']}` has versions; did you mean `gym:{spec.id}`?")
    modes = (getattr(environment, "metadata", None) or {}).get("render_modes", [])
    if "render_mode" in settings["make"] or "rgb_array" not in modes:
        return environment
    # It draws only when it is asked for a picture.
    environment.close()
    return make_as_asked(settings["id"], settings["make"] | {"render_mode": "rgb_array"})


def make_as_asked(name, options):
    try:
        return gymnasium.make(name, **options)
    except gymnasium.error.UnregisteredEnv as unknown:
        family = FAMILIES.get(name.split("-")[0].split("/")[0].lower())
        if family is None:
            sys.exit(nearest(name, unknown))
    try:
        module = importlib.import_module(family)
    except ImportError:
        sys.exit(f"`{name}` needs the package `{family}`: run `sojourn environments install gym {family}`")
    if family == "ale_py":
        gymnasium.register_envs(module)
    try:
        return gymnasium.make(name, **options)
    except gymnasium.error.UnregisteredEnv as unknown:
        sys.exit(nearest(name, unknown))


def nearest(name, unknown):
    """The error for an id that nothing is registered under, with the most similar one."""
    similar = difflib.get_close_matches(name, gymnasium.registry.keys(), n=1)
    meant = f"; did you mean `gym:{similar[0]}`?" if similar else f": {words(unknown)}"
    return f"Gymnasium knows no environment `{name}`{meant}"


def names_of(environment, given):
    """The names of a `Discrete` space's actions, with their numbers."""
    space = environment.action_space
    if given:
        names = given
    elif hasattr(getattr(environment.unwrapped, "actions", None), "__members__"):
        names = list(environment.unwrapped.actions.__members__)
    elif hasattr(environment.unwrapped, "get_action_meanings"):
        names = [name.lower() for name in environment.unwrapped.get_action_meanings()]
    else:
        names = [f"action_{number}" for number in range(space.n)]
    if len(names) != space.n:
        sys.exit(f"the environment has {space.n} actions, but {len(names)} names were given")
    return {name: int(space.start) + number for number, name in enumerate(names)}


def parts_of(space, name=""):
    """The arguments of a space's only action `act`: names with JSON Schemas, and a function from arguments to an action."""
    spaces = gymnasium.spaces
    join = lambda part: f"{name}_{part}" if name else str(part)
    if isinstance(space, spaces.Discrete):
        own, low = name or "action", int(space.start)
        schema = {"type": "integer", "minimum": low, "maximum": low + int(space.n) - 1}
        return {own: schema}, lambda args: int(args[own])
    if isinstance(space, (spaces.MultiDiscrete, spaces.MultiBinary, spaces.Box)):
        shape = space.shape
        count = int(numpy.prod(shape))
        if count > MOST_AXES:
            sys.exit(f"an action has {count} numbers, and at most {MOST_AXES} are supported: {space}")
        names = [join(f"axis_{number}") for number in range(count)]
        if isinstance(space, spaces.Box):
            kind = "integer" if numpy.issubdtype(space.dtype, numpy.integer) else "number"
            low, high = space.low.ravel(), space.high.ravel()
        elif isinstance(space, spaces.MultiBinary):
            kind, low, high = "integer", numpy.zeros(count), numpy.ones(count)
        else:
            start = numpy.asarray(getattr(space, "start", numpy.zeros(shape, dtype=int))).ravel()
            kind, low, high = "integer", start, start + space.nvec.ravel() - 1
        as_json = int if kind == "integer" else float
        schemas = {}
        for own, least, most in zip(names, low, high):
            schemas[own] = {"type": kind}
            # A bound that no action comes near is none.
            if abs(float(least)) < MOST_BOUND:
                schemas[own]["minimum"] = as_json(least)
            if abs(float(most)) < MOST_BOUND:
                schemas[own]["maximum"] = as_json(most)

        def array(args):
            values = numpy.clip([args[own] for own in names], low, high)
            return numpy.asarray(values, dtype=space.dtype).reshape(shape)

        return schemas, array
    if isinstance(space, spaces.Text):
        own = name or "text"
        schema = {"type": "string", "minLength": int(space.min_length), "maxLength": int(space.max_length)}
        return {own: schema}, lambda args: args[own]
    if isinstance(space, (spaces.Tuple, spaces.Dict)):
        items = list(space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces))
        schemas, readers = {}, []
        for key, part in items:
            more, reader = parts_of(part, join(re.sub(r"\W", "_", f"part_{key}" if isinstance(key, int) else str(key))))
            if schemas.keys() & more.keys():
                sys.exit(f"two parts of an action would get the same name: {', '.join(schemas.keys() & more.keys())}")
            schemas |= more
            readers.append((key, reader))
        if isinstance(space, spaces.Tuple):
            return schemas, lambda args: tuple(reader(args) for _, reader in readers)
        return schemas, lambda args: {key: reader(args) for key, reader in readers}
    sys.exit(f"actions of this kind are not supported: {space}")


def named(schemas, read, given):
    """The arguments under the names that the user gave."""
    if not given:
        return schemas, read
    if len(given) != len(schemas):
        sys.exit(f"an action has {len(schemas)} arguments ({', '.join(schemas)}), but {len(given)} names were given")
    own = dict(zip(given, schemas))
    return ({new: schemas[old] for new, old in own.items()},
            lambda args: read({old: args[new] for new, old in own.items()}))


def words(text):
    """A text without halves of characters (lone surrogates), which JSON readers refuse."""
    text = str(text)
    if len(text) > LONGEST:
        text = text[:LONGEST] + f"… ({len(text)} characters)"
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def plain(value, depth=0):
    """Converts a value to JSON types."""
    if depth > DEEPEST:
        return "…"
    if isinstance(value, dict):
        parts = {}
        for name, part in value.items():
            parts[free(words(name), parts)] = plain(part, depth + 1)
        return parts
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}" if len(value) > LARGEST else [plain(part, depth + 1) for part in value]
    if isinstance(value, numpy.ndarray):
        return f"an array of {value.shape}" if value.size > LARGEST else plain(value.tolist(), depth)
    if isinstance(value, numpy.generic) and not isinstance(value.item(), numpy.generic):
        return plain(value.item(), depth)
    if isinstance(value, float):
        return value if numpy.isfinite(value) else str(value)
    if isinstance(value, int) and not isinstance(value, bool):
        # Larger numbers are no integers to most JSON readers.
        return value if -(2**63) <= value < 2**64 else words(hex(value))
    return value if value is None or isinstance(value, bool) else words(value)


def free(name, taken):
    """The name, or a longer one that is not taken: `reward`, `observation_reward`, `observation_observation_reward`."""
    while name in taken:
        name = f"observation_{name}"
    return name


def number(reward):
    """A reward as a finite number, and what is to be said of one that is not: of several the sum counts, of `nan` nothing."""
    try:
        parts = numpy.asarray(0.0 if reward is None else reward, dtype=float).ravel()
    except (TypeError, ValueError):
        return 0.0, f"the environment gave {words(reward)[:200]}, which is no number and counts as 0"
    counted = numpy.clip(numpy.nan_to_num(parts, nan=0.0, posinf=MOST_REWARD, neginf=-MOST_REWARD), -MOST_REWARD, MOST_REWARD)
    value = float(numpy.clip(counted.sum(), -MOST_REWARD, MOST_REWARD))
    if parts.size == 1 and value == float(parts[0]):
        return value, ""
    shown = ", ".join(str(float(part)) for part in parts[:20]) + (", …" if parts.size > 20 else "")
    return value, f"the environment gave {shown or 'no number'}, which counts as {value}"


def grid_names(environment):
    """Names of the things in MiniGrid's room, doors in each of their states."""
    from minigrid.core.constants import STATE_TO_IDX

    names = set()
    for thing in environment.unwrapped.grid.grid:
        if thing is not None and thing.type not in ("wall", "floor"):
            name = thing.type if thing.type in ("goal", "lava") else f"{thing.color}_{thing.type}"
            names |= {f"{state}_{name}" for state in STATE_TO_IDX} if thing.type == "door" else {name}
    return names


def grid(environment, seen, known_names):
    """MiniGrid's view relative to the agent, decoded as the package's documentation specifies."""
    from minigrid.core.constants import IDX_TO_COLOR, IDX_TO_OBJECT, STATE_TO_IDX

    states = {number: name for name, number in STATE_TO_IDX.items()}
    size = seen["image"].shape[0]
    near, lines = {}, []
    front = "nothing"
    for column in range(size):
        for row in range(size):
            kind, color, state = (int(number) for number in seen["image"][column][row])
            name = IDX_TO_OBJECT[kind]
            ahead, right = size - 1 - row, column - size // 2
            if name in ("unseen", "empty", "floor", "agent") or (ahead, right) == (0, 0):
                continue
            if name not in ("wall", "goal", "lava"):
                name = f"{IDX_TO_COLOR[color]} {name}"
            if name.endswith("door"):
                name = f"{states[state]} {name}"
            if (ahead, right) == (1, 0):
                front = name
            if name == "wall":
                continue
            side = f"{right} right" if right > 0 else f"{-right} left" if right < 0 else "straight on"
            lines.append(f"{name}: {ahead} ahead, {side}")
            key = name.replace(" ", "_")
            known = near.get(key)
            if known is None or ahead + abs(right) < known["ahead"] + abs(known["right"]):
                near[key] = {"ahead": ahead, "right": right}
    # What the room had at first and is out of view is null: a skill can ask for it.
    near = dict(sorted((dict.fromkeys(known_names) | near).items()))
    carrying = environment.unwrapped.carrying
    carries = f"{carrying.color}_{carrying.type}" if carrying else "nothing"
    front = front.replace(" ", "_")
    text = f"The mission: {seen['mission']}.\nIn front: {front}. Carrying: {carries}.\n" + "\n".join(lines)
    state = {"mission": seen["mission"], "front": front, "carrying": carries, "near": near,
             "direction": ["east", "south", "west", "north"][int(seen["direction"])]}
    return text, state


# Action descriptions from MiniGrid's documentation.
GRID_ACTIONS = {
    "left": "turns left", "right": "turns right", "forward": "moves one cell ahead, if nothing is in the way",
    "pickup": "takes what is in front", "drop": "puts what is carried in front",
    "toggle": "opens or closes the door or the box in front", "done": "says that the mission is done; rarely of use",
}
GRID_CONTROLS = (
    "front is what is directly in front: nothing, wall, goal, red_key…; carrying what is carried; mission what is to be "
    "done. near.NAME is the nearest thing of that name in view, null where it is out of view: near.NAME.ahead cells ahead and "
    "near.NAME.right cells to the right (negative: to the left). Names have colours and doors their state: near.goal, "
    "near.red_key, near.locked_red_door. Only what is ahead is in view. success is true once the mission is done."
)
# An imaginary world: no environment here has berries.
GRID_EXAMPLE = {"task": "stand beside a berry", "source": """function stand_beside_berry() {
  for (let i = 0; i < 50; i++) {
    const berry = observe().near.berry;
    if (!berry) right();
    else if (berry.ahead > 1) forward();
    else if (berry.right > 0) { right(); forward(); left(); }
    else if (berry.right < 0) { left(); forward(); right(); }
    else return true;
  }
  return false;
}"""}


def documentation(kind):
    """The sections of a class's docstring by heading; the text before the first heading is the description."""
    sections, heading = {"Description": ""}, "Description"
    for line in (inspect.getdoc(kind) or kind.__name__).splitlines():
        if line.strip().startswith("#"):
            heading = line.strip().strip("# ")
        else:
            sections[heading] = sections.get(heading, "") + line + "\n"
    return {heading: " ".join(text.split()) for heading, text in sections.items()}


def sentences(text, most=400):
    """The whole sentences that fit into `most` characters."""
    if len(text) <= most:
        return text
    end = text[:most].rfind(". ")
    return text[:end + 1] if end > 0 else text[:most]


# What the bridge adds to the state.
OWN = ("reward", "return", "steps", "success", "reward_note")


class World:
    def __init__(self, settings):
        self.settings = settings
        self.environment = make(settings)
        space, given = self.environment.action_space, settings.get("actions")
        self.actions, self.schemas, self.read = {}, {}, None
        if isinstance(space, gymnasium.spaces.Discrete) and (given or space.n <= MOST_NAMES):
            self.actions = names_of(self.environment, given)
        else:
            self.schemas, self.read = named(*parts_of(space), given)
        self.steps, self.sum = 0, 0.0
        self.task = "succeed"
        # The return that counts as success; without one a reward at the end does.
        self.wanted = None

    def goal(self, is_grid):
        """The goal in words. A mission that is the same in every episode becomes the task itself."""
        missions = {self.environment.reset(seed=seed)[0]["mission"] for seed in range(5)} if is_grid else set()
        if len(missions) == 1:
            mission = missions.pop()
            self.task = re.sub(r"\W+", "_", mission)[:60].strip("_")
            return mission
        if is_grid:
            return "do what observe().mission says"
        self.wanted = self.wanted_return()
        if self.wanted is None:
            return "end the episode with a reward"
        self.task = "reach_the_return"
        return f"reach a return of {self.wanted:g}" + (" by the end of the episode" if self.wanted <= 0 else "")

    def wanted_return(self):
        """The return to reach, where a reward at the end is no goal: random play gets one in most episodes."""
        threshold = getattr(self.environment.spec, "reward_threshold", None)
        if threshold is not None and threshold <= 0:
            return float(threshold)
        space, steps, won, returns = self.environment.action_space, 0, 0, []
        space.seed(0)
        for seed in range(PROBED_EPISODES):
            self.environment.reset(seed=seed)
            total, over = 0.0, False
            while not over and steps < PROBED_STEPS:
                _, reward, terminated, truncated, _ = self.environment.step(space.sample())
                (reward, _), steps = number(reward), steps + 1
                total, over = total + reward, bool(numpy.any(terminated) or numpy.any(truncated))
                won += bool(numpy.any(terminated)) and reward > 0
            if over:
                returns.append(total)
        if not returns or won * 2 <= len(returns):
            return None
        return float(threshold) if threshold is not None else 2 * max(returns)

    def longest(self):
        """Steps after which an episode is cut off; `None` where nothing says so."""
        steps = getattr(self.environment.spec, "max_episode_steps", None) or getattr(self.environment.unwrapped, "max_steps", None)
        return steps if isinstance(steps, int) and 0 < steps < 2**31 else None

    def describe(self):
        kind = self.environment.unwrapped.__class__
        sections = documentation(kind)
        is_grid = "minigrid" in kind.__module__
        controls = GRID_CONTROLS if is_grid else " ".join(
            sentences(sections[heading]) for heading in ("Action Space", "Observation Space") if heading in sections
        )
        return {"environment": {
            "name": self.settings["name"],
            "version": f"gymnasium {gymnasium.__version__}",
            "deterministic": True,
            "about": sentences(sections["Description"]),
            "actions": [
                {"name": name, "description": GRID_ACTIONS.get(name, "") if is_grid else ""} for name in self.actions
            ] if self.read is None else [{"name": "act", "description": "takes one step", "input": {
                "type": "object", "properties": self.schemas, "required": list(self.schemas), "additionalProperties": False,
            }}],
            "examples": [GRID_EXAMPLE] if is_grid else [],
            "controls": controls,
            "episode_steps": self.longest(),
            "frames": getattr(self.environment, "render_mode", None) == "rgb_array",
            "tasks": [{
                "description": self.goal(is_grid),
                "name": self.task,
                "goal": {"equals": {"path": "/success", "value": True}},
                "achievement": True,
            }],
        }}

    def seen(self, observation, reward=0.0, terminated=False, truncated=False, info=None):
        reward, note = number(reward)
        self.sum += reward
        terminated, truncated = bool(numpy.any(terminated)), bool(numpy.any(truncated))
        if self.wanted is None:
            success = terminated and reward > 0
        else:
            success = self.sum >= self.wanted and (self.wanted > 0 or terminated or truncated)
        if isinstance(observation, dict) and "image" in observation and "mission" in observation:
            if not self.steps:
                self.names = grid_names(self.environment)
            text, state = grid(self.environment, observation, self.names)
        else:
            observation = plain(observation)
            # Parts of an observation that are called like what the bridge adds get a longer name.
            own, state = dict.fromkeys(OWN), {}
            for name, value in observation.items() if isinstance(observation, dict) else [("observation", observation)]:
                state[free(name, own | state)] = value
            text = "\n".join(f"{name}: {value}" for name, value in state.items())
        info = plain(info or {})
        if info:
            state[free("info", state)] = info
        state |= {"reward": reward, "return": self.sum, "steps": self.steps, "success": success}
        if note:
            state["reward_note"] = note
            text += f"\nreward: {note}"
        cause = f"the episode ended with a reward of {round(reward, 3)}"
        over = terminated or truncated
        kind = "succeeded" if success and over else "died" if terminated else "time_up" if truncated else None
        return {"text": words(text), "state": state, "reward": reward, "unlocked": [self.task] if success else [],
                "ended": {"kind": kind, "cause": cause} if kind else None}

    def reset(self, seed):
        self.steps, self.sum = 0, 0.0
        # The runtime's seeds have 64 bits, but some environments accept only 32.
        observation, info = self.environment.reset(seed=seed % 2**31)
        return self.seen(observation, info=info)

    def step(self, action, args=None):
        action = self.actions[action] if self.read is None else self.read(args or {})
        observation, reward, terminated, truncated, info = self.environment.step(action)
        self.steps += 1
        return self.seen(observation, reward, terminated, truncated, info)


    def frame(self):
        return {"mime": "image/png", "data": base64.b64encode(png(self.environment.render())).decode()}


def png(pixels):
    """A picture of height × width × 3 bytes as a PNG file."""
    pixels = numpy.ascontiguousarray(pixels, dtype=numpy.uint8)
    height, width, _ = pixels.shape
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 6)) + chunk(b"IEND", b"")


def main():
    world = World(json.loads(sys.argv[1]))
    answers = {"describe": lambda _: world.describe(), "reset": lambda p: world.reset(p["seed"]),
               "step": lambda p: world.step(p["action"], p.get("args")), "frame": lambda _: world.frame()}
    for line in sys.stdin:
        request = json.loads(line)
        if request["method"] not in answers:
            continue
        try:
            result = answers[request["method"]](request.get("params"))
            answer = json.dumps({"id": request["id"], "result": result}, allow_nan=False)
        except Exception as error:  # report any exception of an environment to the runtime
            answer = json.dumps({"id": request["id"], "error": words(f"{type(error).__name__}: {error}")})
        print(answer, file=OUT, flush=True)


main()
