"""Pictures as files: formats, what they say, that they repeat themselves, and refusals."""

import re
import sys
import warnings
from xml.etree import ElementTree

import matplotlib
import pytest
from hypothesis import HealthCheck, given, settings
from matplotlib.image import imread
from report_graphs import WIDE, histories, over_x, sized

from dagrow.errors import DagrowError
from dagrow.report import GrowthStep, History, write_picture
from dagrow.report.picture.figure import draw

GROWN = History(
    sized(2),
    (
        GrowthStep(1, sized(6), gain=0.5, held_out_gain=-0.25, loss=1.0),
        GrowthStep(2, sized(6), note="y update", gain=0.25),
        GrowthStep(3, sized(6), note="nothing gains"),
    ),
    first_loss=2.0,
    last_loss=0.5,
)


def texts(svg: bytes) -> list[str]:
    """What is written in a picture; matplotlib leaves it in comments beside the outlines."""
    return [text.strip() for text in re.findall(r"<!--(.*?)-->", svg.decode(), re.S)]


def test_a_graph_says_what_it_is():
    spec = over_x(
        {
            "c": {"size": 4, "norm": "batch", "activation": "relu", "pool": "global_average"},
            "k": {"size": 1},
            "y": {"size": 2},
        },
        {
            "x -> c": {"op": "conv2d", "kernel": [3, 1], "stride": 2},
            "c -> k": "linear",
            "c -> y": "linear",
            "k -> y": "linear",
        },
        {"x": [3, 8, 8]},
    )
    said = texts(draw(History(spec), "svg", title="a title", note="a note"))
    for text in ("a title", "a note", "input 3 × 8 × 8", "4 channels", "1 feature", "conv 3x1 /2", "output", "sum"):
        assert text in said
    assert "batch norm, relu, pool" in said  # the line is broken here
    assert said.count("linear") == 3
    assert not {"step", "gain"} & {*said}


def test_growth_is_told_step_by_step():
    said = texts(draw(GROWN, "svg", title="run"))
    for text in ("2 → 6 features", "+4", "h +4", "y update", "nothing gains", "0.5", "−0.25", "0.75", "−1.5", "total"):
        assert text in said
    assert said.count("start") == said.count("end") == 1


def test_the_same_history_gives_the_same_bytes_whatever_a_person_has_set():
    first = draw(GROWN, "svg", title="run")
    with matplotlib.rc_context({"text.usetex": True, "font.family": "serif", "axes.facecolor": "red"}):
        assert draw(GROWN, "svg", title="run") == first
        assert matplotlib.rcParams["text.usetex"]


def test_the_picture_follows_the_graph(tmp_path):
    def inches(spec):
        root = ElementTree.fromstring(draw(History(spec), "svg", title="t"))
        return [float(root.attrib[side].removesuffix("pt")) for side in ("width", "height")]

    small = inches(sized(2))
    names = WIDE[:38]
    edges = {f"x -> {name}": "linear" for name in names[:19]} | {
        f"{one} -> {two}": "linear" for one, two in zip(names[:19], names[19:], strict=True)
    }
    wide = inches(
        over_x({name: {"size": 2} for name in (*names, "y")}, edges | {f"{n} -> y": "linear" for n in names[19:]})
    )
    assert max(small) < 500
    assert wide[0] > 1200
    path = tmp_path / "picture.png"
    write_picture(History(sized(2)), path, title="t")
    height, width = imread(path).shape[:2]
    assert width / height == pytest.approx(small[0] / small[1], rel=0.01)
    assert 300 < width < 1200


def test_seventy_steps_stay_on_the_page():
    steps = tuple(GrowthStep(number, sized(2 + number), gain=1 / number) for number in range(1, 71))
    root = ElementTree.fromstring(draw(History(sized(2), steps), "svg", title="t"))
    assert float(root.attrib["height"].removesuffix("pt")) < 900


@given(histories())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_history_can_be_drawn(history):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ElementTree.fromstring(draw(history, "svg", title="t"))


@pytest.mark.parametrize("name", ["picture.pdf", "picture", "picture.SVG.txt", ".svg"])
def test_other_formats_are_refused(tmp_path, name):
    with pytest.raises(DagrowError) as caught:
        write_picture(GROWN, tmp_path / name, title="t")
    assert str(caught.value) == f"{tmp_path / name}: a picture ends with one of: .svg, .png"
    assert list(tmp_path.iterdir()) == []


def test_a_suffix_in_capitals_is_the_same(tmp_path):
    write_picture(GROWN, tmp_path / "PICTURE.PNG", title="t")
    assert (tmp_path / "PICTURE.PNG").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("package", ["matplotlib", "graphlay"])
def test_without_the_extra(tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DagrowError) as caught:
        write_picture(GROWN, tmp_path / "picture.svg", title="t")
    assert str(caught.value) == f"a picture needs '{package}': pip install 'dagrow[plots]'"
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_replaced_and_what_cannot_be_written_is_told(tmp_path):
    path = tmp_path / "new" / "picture.svg"
    for _ in range(2):
        write_picture(GROWN, path, title="t")
    assert [file.name for file in path.parent.iterdir()] == ["picture.svg"]
    with pytest.raises(DagrowError, match="cannot be written"):
        write_picture(GROWN, path / "below.svg", title="t")
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(DagrowError, match="cannot be written"):
        write_picture(GROWN, tmp_path / "folder.svg", title="t")
