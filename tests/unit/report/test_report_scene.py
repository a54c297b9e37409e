"""The picture of a decision in a plane."""

import builtins
import struct

import pytest
import torch

from dagrow.errors import DagrowError
from dagrow.methods import Scene, Straight
from dagrow.report import write_scene


def scene(spread=1.0, labels=3):
    points = spread * torch.randn(30, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Scene(
        points=points,
        labels=torch.arange(30) % labels,
        classify=lambda p: (p[:, 0] > 0).long(),
        region=lambda p: p[:, 1] > 0,
        region_name="segment 10",
        lines=(
            Straight("present", torch.zeros(2, dtype=torch.float64), 1.0),
            Straight("crease", torch.tensor([1.0, 2.0], dtype=torch.float64), 0.1, "new crease"),
        ),
        marks={"sample": points[0], "fold point": points[1]},
    )


@pytest.mark.share(0.35)
@pytest.mark.parametrize(("spread", "labels"), [(1.0, 3), (0.0, 1), (1e6, 12)])
def test_it_is_a_png_and_the_same_each_time(tmp_path, spread, labels):
    first, second = tmp_path / "new" / "a.png", tmp_path / "b.png"
    for path in (first, second):
        write_scene(scene(spread, labels), path, title="step 1: folds for sample 7 ($x$), " + "a long line " * 12)
    content = first.read_bytes()
    assert content == second.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert min(struct.unpack(">II", content[16:24])) > 600


def test_without_matplotlib_it_says_what_to_install(tmp_path, monkeypatch):
    found = builtins.__import__

    def missing(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return found(name, *args, **kwargs)

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(DagrowError, match=r"'matplotlib': pip install 'dagrow\[plots\]'"):
        write_scene(scene(), tmp_path / "a.png", title="")
    assert not list(tmp_path.iterdir())
