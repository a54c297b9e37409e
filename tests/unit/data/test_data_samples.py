from __future__ import annotations

import pytest
import torch

from dagrow.data import Samples, Scale, TrainTestSplit
from dagrow.errors import DataError

BYTES = Scale(torch.tensor(0.0), torch.tensor(255.0))


def numbered(count: int) -> Samples:
    return Samples((torch.arange(count).float().unsqueeze(1),), (torch.arange(count),))


def test_one_input_gives_tensors_and_several_give_tuples():
    x, y = numbered(3).xy()
    assert isinstance(x, torch.Tensor)
    assert isinstance(y, torch.Tensor)
    both = Samples((torch.zeros(3, 1), torch.ones(3, 2)), (torch.zeros(3), torch.ones(3)))
    x, y = next(iter(both.batches(2)))
    assert [part.shape for part in x] == [(2, 1), (2, 2)]
    assert [part.shape for part in y] == [(2,), (2,)]


def test_batches_cover_everything_once_and_can_be_repeated():
    batches = numbered(7).batches(3)
    assert len(batches) == 3
    for _ in range(2):
        assert [y.tolist() for _, y in batches] == [[0, 1, 2], [3, 4, 5], [6]]


def test_shuffled_batches_keep_pairs_and_follow_the_generator():
    samples = numbered(50)

    def order(seed: int) -> list[int]:
        batches = samples.shuffled_batches(8, torch.Generator().manual_seed(seed))
        assert all(torch.equal(x.squeeze(1), y.float()) for x, y in batches)
        return torch.cat([y for _, y in batches]).tolist()

    assert order(0) == order(0) != order(1)
    assert sorted(order(0)) == list(range(50))


def test_bytes_are_stored_and_float32_is_read():
    stored = torch.arange(256, dtype=torch.uint8).reshape(64, 1, 2, 2)
    samples = Samples((stored,), (torch.zeros(64),), (BYTES,))
    assert samples.inputs[0].dtype == torch.uint8
    x = torch.cat([x for x, _ in samples.batches(10)])
    assert x.dtype == torch.float32
    assert torch.equal(x, stored.float() / 255)
    assert torch.equal(samples.rows(torch.tensor([5, 1])).xy()[0], (stored.float() / 255)[[5, 1]])
    assert stored.max() == 255  # conversion works on a copy


def test_a_transform_never_writes_into_float_samples():
    stored = torch.ones(4, 2)
    samples = Samples((stored,), (torch.zeros(4),), (Scale(torch.tensor(1.0), torch.tensor(2.0)),))
    assert torch.equal(samples.xy()[0], torch.zeros(4, 2))
    assert torch.equal(stored, torch.ones(4, 2))


def test_slices_are_views():
    samples = numbered(6)
    assert samples.rows(slice(2, 4)).inputs[0].data_ptr() == samples.inputs[0][2:].data_ptr()


def test_to_moves_everything():
    moved = TrainTestSplit(numbered(3), Samples((torch.zeros(2, 1),), (torch.zeros(2),), (BYTES,))).to("meta")
    tensors = (moved.train.inputs[0], moved.train.targets[0], moved.test.transforms[0].scale)
    assert {tensor.device.type for tensor in tensors} == {"meta"}


def test_impossible_samples_are_refused():
    with pytest.raises(DataError, match="different numbers of samples"):
        Samples((torch.zeros(3, 1),), (torch.zeros(2),))
    with pytest.raises(DataError, match="at least one input"):
        Samples((), (torch.zeros(2),))
    with pytest.raises(DataError, match="1 inputs need as many transforms, not 2"):
        Samples((torch.zeros(2, 1),), (torch.zeros(2),), (None, None))
    with pytest.raises(DataError, match="at least 1 sample, not 0"):
        numbered(3).batches(0)
