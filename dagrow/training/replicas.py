"""A run of several processes: what must be the same in all of them, and one network after a growth step."""

from __future__ import annotations

import json

from dagrow.build.network import derived_seed
from dagrow.data import fingerprint
from dagrow.distributed import Processes
from dagrow.errors import listed
from dagrow.graph import Dag
from dagrow.ops import NORMS
from dagrow.randomness import seed_torch
from dagrow.spec import RunSpec, graph_hash
from dagrow.training.epochs import TrainingError
from dagrow.training.state import RunContext, RunState


def check_exact(spec: RunSpec, dag: Dag, processes: Processes) -> None:
    """Refuses what several processes would not do as one does.

    Raises:
        TrainingError: if a norm looks at a whole batch, of which each process has a part; or if units come and go, or
            passes are taken back, in the middle of training.
    """
    if processes.count == 1:
        return
    alone = {
        "training.penalty": spec.training.penalty,
        "training.anneal": spec.training.anneal,
        "growth.continuous_growth": spec.growth.continuous_growth,
    }
    if found := [name for name, entry in alone.items() if entry is not None]:
        raise TrainingError(
            f"{listed(found)}: units come and go between two gradient steps, which {processes.count} processes would "
            "each do on its own: run it in one process, or leave it out"
        )
    nodes = {name: dag.node(name).norm for name in dag.order}
    norms = [(f"'{name}'", norm) for name, norm in nodes.items()]
    for what, norm in [*norms, *(("new nodes", norm) for norm in spec.growth.new_node.norm)]:
        if norm != "none" and NORMS[norm].over_samples:
            raise TrainingError(
                f"norm '{norm}' of {what} looks at a whole batch, of which each of {processes.count} processes has a "
                "part: run it in one process, or take norm 'layer' or none"
            )


def check_same(task: RunContext) -> None:
    """Makes sure that all processes are at the same run.

    Raises:
        ProcessError: if they are not.
    """
    task.processes.agree("run file", json.dumps(task.spec.model_dump(mode="json"), sort_keys=True))
    task.processes.agree("set of samples", fingerprint(task.split))


def synchronize_weights(task: RunContext, state: RunState, what: str) -> None:
    """One network after a growth step: the same graph in all processes, with the weights of the first to the last bit.

    Args:
        task: the run.
        state: after the step.
        what: names the step.

    Raises:
        ProcessError: if the graphs differ.
    """
    task.processes.agree(what, graph_hash(state.network.spec))
    for network in (state.network, *state.average.models):
        task.processes.copy_first([value.detach() for value in network.state_dict().values()])


def seed_replica(task: RunContext, state: RunState) -> None:
    """Gives each of several processes random numbers of its own for the next pass, whatever was drawn before."""
    if task.processes.count > 1:
        name = f"dropout of process {task.processes.rank}, pass {state.progress.epoch}"
        seed_torch(derived_seed(task.spec.seed, name))
