"""A network that is no longer what its spec says is refused, in a sentence, before growth goes by the spec."""

import pytest
import torch
from torch import nn

import dagrow
from dagrow.build import build, check_intact
from dagrow.errors import GrowthError
from dagrow.spec import GraphSpec

SPEC = GraphSpec.model_validate(
    {
        "inputs": {"x": {"shape": [4]}},
        "nodes": {"h": {"size": 4, "norm": "batch", "activation": "tanh"}, "k": {"size": 4}, "y": {"size": 2}},
        "edges": {"x -> h": "linear", "h -> k": "linear", "k -> y": "linear", "h -> y": "linear"},
        "outputs": ["y"],
    }
)


def call_inserted(model, compiled):
    first = next(node for node in model.graph.nodes if node.op == "call_module")
    with model.graph.inserting_after(first):
        new = model.graph.call_function(torch.relu, (first,))
    first.replace_all_uses_with(new, lambda user: user is not new)
    if compiled:
        model.recompile()


def edge_redirected(model):
    call = next(node for node in model.graph.nodes if node.target == "k.from_h")
    call.args = (next(node for node in model.graph.nodes if node.target == "h.norm"),)
    model.recompile()


def of_one_storage(model):
    model.k.from_h.weight.data = model.h.from_x.weight.data


EDITS = {
    "a call more": (lambda model: call_inserted(model, compiled=True), "the code of the network .* was edited"),
    "not compiled": (lambda model: call_inserted(model, compiled=False), "the code of the network .* was edited"),
    "another argument": (edge_redirected, "the code of the network .* was edited"),
    "its own forward": (lambda model: setattr(model, "forward", lambda x: x), "a 'forward' of its own"),
    "another activation": (
        lambda model: setattr(model.h, "activation", nn.GELU()),
        r"h\.activation is a layer of class GELU, the graph declares Tanh",
    ),
    "a layer gone": (lambda model: model.h.__delattr__("norm"), r"h\.norm is nothing, the graph declares BatchNorm1d"),
    "a bias gone": (lambda model: setattr(model.h.from_x, "bias", None), "'h.from_x' has no bias of its own"),
    "another size": (
        lambda model: setattr(model.h.from_x, "weight", nn.Parameter(torch.zeros(5, 4))),
        r"the weight of 'h.from_x' has shape \[5, 4\], and the graph says \[4, 4\]",
    ),
    "parametrized": (
        lambda model: nn.utils.parametrizations.weight_norm(model.h.from_x),
        "'h.from_x' has no weight of its own",
    ),
    "tied": (
        lambda model: setattr(model.k.from_h, "weight", model.h.from_x.weight),
        r"h\.from_x\.weight and k\.from_h\.weight share their values",
    ),
    "one layer twice": (
        lambda model: setattr(model.k, "from_h", model.h.from_x),
        r"h\.from_x\.weight and k\.from_h\.weight share their values",
    ),
    "one storage": (of_one_storage, r"h\.from_x\.weight and k\.from_h\.weight share their values"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_what_was_edited_is_noticed(edit):
    model, x = build(SPEC, seed=0), torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
    data = [(x, x[:, :2].abs())]
    best = dagrow.propose(model.eval(), nn.functional.mse_loss, data, significance=0).best
    change, message = EDITS[edit]
    change(model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for refused in (
        lambda: dagrow.propose(model, nn.functional.mse_loss, data),
        lambda: dagrow.apply(model, best),
    ):
        with pytest.raises(GrowthError, match=message):
            refused()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_what_the_graph_does_not_know_is_no_matter():
    model = build(SPEC, seed=0)
    model.head = nn.Linear(2, 2)
    model.other = nn.Linear(2, 2)
    model.other.weight = model.head.weight
    model.encoder = model.h
    model.h.norm.momentum = 0.3
    model.h.from_x.register_forward_hook(lambda module, args, out: None)
    check_intact(model)
