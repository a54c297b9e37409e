"""Samples shared by several processes: together they see what one would see, in its order."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dagrow.data import Samples
from dagrow.distributed import Processes


class Member(Processes):
    """One of several processes, without the others."""

    def __init__(self, rank, count):
        self.rank, self.count = rank, count


@settings(deadline=None, derandomize=True, database=None)
@given(samples=st.integers(1, 40), size=st.integers(1, 50), count=st.integers(1, 7))
def test_parts_of_all_processes_are_the_batches_of_one(samples, size, count):
    numbers = torch.arange(samples)
    data = Samples((numbers,), (numbers,))

    def shuffled(*processes):
        return data.shuffled_batches(size, torch.Generator().manual_seed(3), *processes)

    members = [shuffled(Member(rank, count)) for rank in range(count)]
    seen = [zip(member, member.sizes(), strict=True) for member in members]
    for whole, batch, *parts in zip(shuffled().sizes(), shuffled(), *seen, strict=True):
        assert whole == (len(batch[0]), len(batch[0]))
        counted = [x[:own] for (x, _), (own, _) in parts]
        assert torch.equal(torch.cat(counted), batch[0])
        assert {of_all for _, (_, of_all) in parts} == {len(batch[0])}
        # Nobody comes with nothing: a mean over no samples is no number.
        assert all(len(x) == max(1, own) for (x, _), (own, _) in parts)
        sizes = [own for _, (own, _) in parts]
        assert max(sizes) - min(sizes) <= 1
    assert all(len(member) == len(shuffled()) for member in members)


@settings(deadline=None, derandomize=True, database=None)
@given(samples=st.integers(0, 40), count=st.integers(1, 7))
def test_parts_of_all_samples_follow_one_another(samples, count):
    data = Samples((torch.arange(samples),), (torch.arange(samples),))
    parts = [data.part(Member(rank, count)).inputs[0] for rank in range(count)]
    assert torch.equal(torch.cat(parts), data.inputs[0])
