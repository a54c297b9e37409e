"""Solves by name: what is asked for again is solved once, what is shared is solved by one process alone."""

import torch

from dagrow.distributed import Processes
from dagrow.methods import Neurons, SearchedFanOut
from dagrow.planner.solve_cache import SolveCache, _plain
from dagrow.serialization import from_bytes, to_bytes


class Counted:
    def __init__(self, answer):
        self.answer, self.calls = answer, 0

    def __call__(self):
        self.calls += 1
        return self.answer


class Two(Processes):
    """Two processes, of which the other has told this."""

    count = 2

    def __init__(self, other):
        self.other = other

    def exchange(self, value):
        return [value, from_bytes(to_bytes(self.other))]


def neurons(why=None):
    mode = SearchedFanOut((torch.full((2, 3), 0.1),))
    return Neurons(torch.ones(3, 1), torch.ones(1, 2), torch.ones(1), mode=mode, why=why)


def test_only_what_is_asked_for_again_is_kept():
    solves, common, own = SolveCache(), Counted(torch.ones(2)), Counted(torch.zeros(2))
    for _ in range(3):
        assert solves.weights("common", common, again=True) is common.answer
        assert solves.weights("own", own) is own.answer
        solves.neurons("own", Counted(neurons()))
    assert (common.calls, own.calls) == (1, 3)
    assert (list(solves._weights), list(solves._neurons)) == (["common"], [])


def test_what_another_process_has_found_is_not_solved_again():
    found = neurons()
    solves, never = SolveCache(keeping=True), Counted(None)
    mine = Counted(torch.ones(2))
    solves.weights("mine", mine)
    solves.share(Two(({"theirs": torch.tensor([0.1])}, {"their neurons": _plain(found)})), torch.device("cpu"))
    assert solves.weights("theirs", never).tolist() == torch.tensor([0.1]).tolist()
    told = solves.neurons("their neurons", never)
    assert torch.equal(told.mode.updates[0], found.mode.updates[0])
    assert (told.reason, type(told.mode), told.noise_level) == (found.reason, SearchedFanOut, found.noise_level)
    assert never.calls == 0
    assert solves.weights("mine", mine) is mine.answer
    assert mine.calls == 1


def test_neurons_with_something_to_tell_stay_here():
    class Noting(Two):
        def exchange(self, value):
            self.told = value
            return super().exchange(value)

    processes, solves = Noting(({}, {})), SolveCache(keeping=True)
    solves.neurons("explained", Counted(neurons(why="a crease")))
    solves.neurons("plain", Counted(neurons()))
    solves.share(processes, torch.device("cpu"))
    assert list(processes.told[1]) == ["plain"]
