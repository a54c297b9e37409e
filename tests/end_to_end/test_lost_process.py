"""Whichever batch a process is lost after, the others are told so in one sentence."""

import pytest
import torch
from forked import ended, started_with

from dagrow.distributed import Group

LOST = """
import os
import torch
import dagrow
from dagrow.data.samples import ReplicaBatch
from dagrow.distributed import ProcessError, joined
from dagrow.objectives import LOSSES
from dagrow.training.epochs import Objective, train_epoch

graph = {
    "inputs": {"x": {"shape": [3]}},
    "nodes": {"y": {"size": 2}},
    "edges": {"x -> y": "linear"},
    "outputs": ["y"],
}
network = dagrow.build(dagrow.GraphSpec.model_validate(graph))
batches, made = [ReplicaBatch(torch.ones(4, 3), torch.ones(4, dtype=torch.long), 4, 8)] * 5, []


def leave():
    made.append(1)
    if RANK == 1 and len(made) == AFTER:
        os._exit(7)


with joined("cpu") as (processes, _):
    try:
        optimizer = torch.optim.SGD(network.parameters(), 0.1)
        train_epoch(network, Objective(LOSSES["cross_entropy"]), optimizer, batches, leave, processes=processes)
    except ProcessError as error:
        print(error)
        os._exit(2)
"""


@pytest.mark.parametrize("batches", [2])
def test_a_process_lost_between_batches_is_told(batches):
    """The second forward pass talks to the others too: torch sorts its buckets anew there."""
    (told, errors, code), (_, left, lost) = ended(started_with(2, "-c", LOST.replace("AFTER", str(batches))))
    assert lost == 7, left
    assert code == 2, errors
    assert told.startswith("process 0 of 2 ends: another one is lost or has not answered in time (")


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("not enough memory: 9")])
def test_memory_that_is_used_up_is_no_lost_process(error):
    with pytest.raises(RuntimeError) as raised, Group.listening(object.__new__(Group)):
        raise error
    assert raised.value is error
