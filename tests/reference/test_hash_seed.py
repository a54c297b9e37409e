"""Plans are the same under any order of sets: the hash seed is settled when an interpreter starts."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent

SCRIPT = """
from reference_network import squared
from test_every_candidate import ALL, asked, setting as drawn
from test_promised_gains import setting
from zoo import GROWING

from dagrow.planner import propose
from dagrow.spec import graph_hash


def tell(plan):
    for c in plan.candidates:
        print(c.kind, c.place, c.neurons, repr(c.gain), repr(c.amplitude), c.cost, c.rejected, list(c.scores))
    print([place.node for place in plan.not_growable], plan.stages)


for name in ("skip", "concat", "two inputs, two outputs"):
    model, data = setting(GROWING[name])
    tell(propose(model, squared, data, candidates=("widen", "update"), neurons=2))
    print(graph_hash(model.spec))
for seed in (6,):
    model, _, loss, data = drawn(seed)
    for most in (ALL, {"max_solved": 3, "max_searched": 2}):
        tell(propose(model, loss, data, **{**asked(seed), **most}))
"""


def test_plans_do_not_depend_on_the_hash_seed():
    paths = os.pathsep.join([str(HERE), *filter(None, sys.path)])
    running = []
    for seed in ("0", "1"):
        env = {"OMP_NUM_THREADS": "1", **os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": paths}
        command = [sys.executable, "-W", "error", "-c", SCRIPT]
        running.append(subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    said = [process.communicate(timeout=600) for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    assert said[0][0] == said[1][0]
    assert said[0][0].count("\n") > 50
