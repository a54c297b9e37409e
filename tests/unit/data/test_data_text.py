"""A text as windows of bytes, each of which says what comes next."""

import pytest
import torch
from data_graphs import embedding_dag

from dagrow.data import load_data
from dagrow.errors import DataError
from dagrow.objectives import LOSSES
from dagrow.spec.run import DataSpec

LABELS = LOSSES["cross_entropy"]
TEXT = "".join(f"line {number}\n" for number in range(30)).encode() + "grün".encode()


def read(path, dag=None, loss=LABELS, **fields):
    spec = DataSpec.model_validate({"text": str(path), **fields})
    return load_data(spec, dag or embedding_dag(8, 256, 256), loss, seed=0)


@pytest.fixture
def file(tmp_path):
    (tmp_path / "text.txt").write_bytes(TEXT)
    return tmp_path / "text.txt"


@pytest.mark.parametrize("stride", [None, 3])
def test_windows_lie_side_by_side_and_targets_one_further(file, stride):
    split = read(file, **({} if stride is None else {"stride": stride}))
    first = round(0.8 * len(TEXT))
    for samples, text in ((split.train, TEXT[:first]), (split.test, TEXT[first:])):
        x, y = samples.xy()
        starts = range(0, len(text) - 8, stride or 8)
        assert len(x) == len(starts)
        for row, target, start in zip(x, y.squeeze(-1), starts, strict=True):
            assert bytes(row.long().tolist()) == text[start : start + 8]
            assert bytes(target.tolist()) == text[start + 1 : start + 9]
    assert split.notes[0].startswith(f"{len(TEXT)} bytes: ")
    assert (split.preprocessing.inputs[0].dtype, split.preprocessing.inputs[0].steps) == (torch.int64, ())


def test_what_does_not_fit_is_said_in_a_sentence(file, tmp_path):
    (tmp_path / "short.txt").write_bytes(b"0123456789" * 4)
    cases = {
        "short.txt: 40 bytes leave 8 for the shorter of training and test; a window takes 9": {"path": "short.txt"},
        "none.txt: No such file": {"path": "none.txt"},
        "one input, of bytes: 'x: {shape: [length], vocabulary: 256}'": {"dag": embedding_dag(8, 20, 256)},
        "an output has shape [8, 256], not [8, 20]": {"dag": embedding_dag(8, 256, 20)},
        "use cross_entropy, not mse": {"loss": LOSSES["mse"]},
    }
    for text, case in cases.items():
        path = tmp_path / case.pop("path", file.name)
        with pytest.raises(DataError) as caught:
            read(path, **case)
        assert text in str(caught.value)
