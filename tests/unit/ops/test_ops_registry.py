"""Ops from outside: registered, they are built, checked, trained and grown like the rest."""

from typing import ClassVar, Literal

import pytest
import torch
from pydantic import Field
from torch import Tensor, nn
from zoo import graph, node

from dagrow import ops
from dagrow.build import build
from dagrow.errors import DagrowError, SpecError
from dagrow.graph import Dag, cost
from dagrow.ops import Op, Shape, ShapeError, find_op, op_names, register_op
from dagrow.ops.linear import Linear
from dagrow.registry import rollback_on_error
from dagrow.spec.graph import GraphSpec


class ScaledModule(nn.Module):
    """Draws its weights when it is made: there is no reset_parameters."""

    def __init__(self, n: int, m: int, scale: float) -> None:
        super().__init__()
        self.weight, self.scale = nn.Parameter(torch.randn(m, n)), scale

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * nn.functional.linear(x, self.weight)


class Scaled(Op):
    """A linear without bias, times a constant."""

    name: ClassVar[str] = "scaled"

    op: Literal["scaled"] = "scaled"
    scale: float = Field(default=2.0, gt=0)

    def output_shape(self, source: Shape, size: int | None) -> Shape:
        if len(source) != 1:
            raise ShapeError(f"'scaled' reads vectors, not {list(source)}")
        return (source[0] if size is None else size,)

    def module(self, source: Shape, target: Shape) -> nn.Module:
        return ScaledModule(source[0], target[0], self.scale)

    def export_line(self, source: Shape, target: Shape) -> str:
        return f"ScaledModule({source[0]}, {target[0]}, {self.scale})"

    def parameter_count(self, source: Shape, target: Shape) -> int:
        return source[0] * target[0]

    def multiply_adds(self, source: Shape, target: Shape) -> int:
        return source[0] * target[0]


@pytest.fixture
def table():
    """Registrations end with the test."""
    with rollback_on_error() as restore:
        yield
        restore()


def scaled(op="scaled", shape=(3,)):
    return graph({"x": shape}, {"h": node(4, "tanh"), "y": 1}, {"x -> h": op, "h -> y": "linear"})


@pytest.mark.usefixtures("table")
def test_an_op_of_an_earlier_version_is_taken_with_its_old_names():
    class Older(Scaled):
        name: ClassVar[str] = "older"
        op: Literal["older"] = "older"

        @property
        def written(self):
            return 7

        def run(self, x, weight, bias):
            return self.scale * nn.functional.linear(x, weight)

        def reads(self, source, pointwise):
            return ops.Reads(1, torch.ones(1))

    with pytest.warns(FutureWarning) as told:
        register_op(Older)
    register_op(Older)
    assert [str(entry.message).split(":")[1][1:] for entry in told] == [
        "reads was renamed to fan_out_layout", "run was renamed to functional", "written was renamed to out_features",
    ]  # fmt: skip
    op = Older(scale=3)
    assert op.out_features == 7
    assert op.functional(torch.ones(1, 2), torch.ones(1, 2), None).item() == 6.0
    with pytest.warns(FutureWarning, match=r"dagrow\.ops\.Reads was renamed to FanOutLayout"):
        assert op.fan_out_layout((2,), False).fan_out == 1


@pytest.mark.usefixtures("table")
def test_an_op_from_outside_builds_and_trains():
    assert register_op(Scaled) is Scaled
    assert register_op(Scaled) is Scaled
    assert (find_op("scaled"), op_names()[-1]) == (Scaled, "scaled")
    model = build(scaled({"op": "scaled", "scale": 3}), seed=1)
    assert model.h.from_x.scale == 3.0
    assert model.spec == GraphSpec.model_validate(model.spec.model_dump(mode="json"))
    assert cost(model.dag).parameters == sum(p.numel() for p in model.parameters())
    x = torch.randn(32, 3, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = (model(x) - x[:, :1]).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 4


@pytest.mark.usefixtures("table")
def test_its_weights_follow_from_the_seed():
    register_op(Scaled)
    torch.manual_seed(1)
    first = build(scaled(), seed=7).h.from_x.weight
    torch.manual_seed(2)
    assert torch.equal(build(scaled(), seed=7).h.from_x.weight, first)
    assert not torch.equal(build(scaled(), seed=8).h.from_x.weight, first)


@pytest.mark.usefixtures("table")
def test_its_fields_and_shapes_are_checked():
    register_op(Scaled)
    with pytest.raises(SpecError, match=r"graph / edges / x -> h: 'scaled' reads vectors, not \[2, 3\]"):
        Dag.of(scaled(shape=(2, 3)))
    for wrong in ({"op": "scaled", "scale": 0}, {"op": "scaled", "factor": 1}):
        with pytest.raises(ValueError, match=r"scale|factor"):
            scaled(wrong)


class Series(Op):
    """A convolution over a series, written without a word about its channels, its shapes or its cost."""

    name: ClassVar[str] = "series"

    op: Literal["series"] = "series"

    def module(self, source: Shape, target: Shape) -> nn.Module:
        return nn.Conv1d(source[0], target[0], 3, padding=1)


def series(**fields):
    return GraphSpec.model_validate(
        {
            "inputs": {"x": {"shape": (8, 8), **fields}},
            "nodes": {"h": {"size": 8, "pool": "global_average"}, "y": {"size": 1}},
            "edges": {"x -> h": "series", "h -> y": "linear"},
            "outputs": ["y"],
        }
    )


class Shaped(Series):
    """The same with its shapes in plain tuples."""

    def output_shape(self, source: Shape, size: int | None) -> Shape:
        return (source[0] if size is None else size, *source[1:])


class Declared(Series):
    """The same with a word about its channels."""

    channel_order: ClassVar[str] = "channels_first"


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    ("op", "message"),
    [
        (Series, r"'series' shows no channels in what it makes of tokens .*, \[8, 8\]: the 'layout' of the input"),
        (Shaped, r"'series' reads its input channels_first, but \[8, 8\] are tokens .*'layout: channels_first'"),
        (Declared, r"'series' reads its input channels_first, but \[8, 8\] are tokens .*'layout: channels_first'"),
    ],
)
def test_no_op_reads_along_the_wrong_axis(op, message):
    """Also where both axes are as long, so that nothing else would tell."""
    register_op(op)
    for wrong in ({}, {"layout": "channels_last"}):
        with pytest.raises(SpecError, match="x -> h: " + message):
            Dag.of(series(**wrong))
    model = build(series(layout="channels_first"), seed=0)
    assert [model.dag.merged("h").axis, *model.dag.output("h")] == [0, 8]
    assert model(torch.zeros(2, 8, 8)).shape == (2, 1)
    edge = next(iter(model.dag.incoming["h"]))
    assert model.dag.parameters[edge] == sum(p.numel() for p in model.h.from_x.parameters()) == 200
    assert model.dag.multiply_adds[edge] == 3 * 8 * 8 * 8
    line = model.dag.op(edge).export_line(model.dag.output("x"), model.dag.written(edge))
    assert line == "nn.Conv1d(8, 8, 3, padding=1)"


@pytest.mark.usefixtures("table")
def test_a_layer_that_torch_has_not_needs_a_line_of_its_own():
    """What is read off the layer is read without a number being drawn."""
    state = torch.get_rng_state()
    op = Scaled()
    assert Op.parameter_count(op, (3,), (4,)) == 12
    assert Op.output_shape(op, (3,), 4) == (4,)
    with pytest.raises(ShapeError, match=r"'scaled' cannot read \[2, 3\]: "):
        Op.output_shape(Scaled(), (2, 3), 4)
    with pytest.raises(DagrowError, match="op 'scaled' makes a ScaledModule, which torch.nn has not: give the op an"):
        Op.export_line(op, (3,), (4,))
    assert torch.equal(torch.get_rng_state(), state)


def test_before_registration_it_is_unknown():
    with pytest.raises(
        ValueError,
        match=r"unknown op 'scaled'.*allowed: linear, conv1d, conv2d, conv3d, conv_transpose2d, embedding, position,",
    ):
        scaled()
    with pytest.raises(DagrowError, match=r"unknown op 'liner' \(did you mean 'linear'\?\); allowed: linear"):
        find_op("liner")


class Nameless(Linear):
    name: ClassVar[str] = None  # type: ignore[assignment]


class Incomplete(Op):
    name: ClassVar[str] = "incomplete"

    def output_shape(self, source: Shape, size: int | None) -> Shape:
        return source


class Impostor(Linear):
    """Inherits the name 'linear'."""


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (nn.Linear, "register_op takes a subclass of dagrow.ops.Op with a 'name'"),
        (Linear(), "register_op takes a subclass of dagrow.ops.Op with a 'name'"),
        ("linear", "register_op takes a subclass of dagrow.ops.Op with a 'name'"),
        (None, "register_op takes a subclass of dagrow.ops.Op with a 'name'"),
        (Op, "register_op takes a subclass of dagrow.ops.Op with a 'name'"),
        (Nameless, "register_op takes a subclass of dagrow.ops.Op with a 'name'"),
        (Incomplete, "op 'incomplete' lacks module"),
        (Impostor, "an op named 'linear' is registered already"),
    ],
)
def test_wrong_registrations(wrong, message):
    before = op_names()
    with pytest.raises(DagrowError) as caught:
        register_op(wrong)
    assert str(caught.value) == message
    assert op_names() == before
    assert find_op("linear") is Linear
