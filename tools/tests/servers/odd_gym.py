"""A Gymnasium environment of odd values, served by the bridge: python odd_gym.py BRIDGE."""
import runpy
import sys

import gymnasium
import numpy

REWARDS = [float("nan"), float("inf"), -float("inf"), numpy.array([1.0, 2.0, float("nan")]), None, numpy.float32(0.5), [], "x\ud83d"]


class Odd(gymnasium.Env):
    action_space = gymnasium.spaces.Discrete(len(REWARDS))
    observation_space = gymnasium.spaces.Discrete(2)

    def seen(self):
        cycle = {}
        cycle["self"] = cycle
        return {
            "reward": "own", "success": True, "steps": -1, 1: "a", "1": "b", "half": "x\ud83d", "\udc00": numpy.str_("y\ud83d"),
            "nan": float("nan"), "array": numpy.array([numpy.inf, 1]), "big": 10**30, "cycle": cycle, "long": list(range(2000)),
            "complex": 1j, "bytes": b"\xff",
        }

    def reset(self, seed=None, options=None):
        return self.seen(), {}

    def step(self, action):
        return self.seen(), REWARDS[action], action == 1, numpy.bool_(action == 2), {}


gymnasium.register("Odd-v0", Odd, disable_env_checker=True)
bridge = sys.argv[1]
sys.argv = [bridge, '{"name": "gym:Odd-v0", "id": "Odd-v0", "make": {}, "actions": null}']
runpy.run_path(bridge, run_name="__main__")
