"""Channel spaces of networks as people write them: which there are, who shares one, and why some cannot grow."""

import pytest
import torch
from capture_zoo import Branching, captured, made
from torch import nn

import dagrow
from dagrow.capture import from_module, spaces
from dagrow.errors import CaptureError, DagrowError

GROWABLE = {
    "resnet": {"conv1:out": 8, "layer1.0.conv1:out": 8, "layer1.1.conv1:out": 8, "layer2.0.conv1:out": 12,
               "layer2.0.downsample.0:out": 12, "layer2.1.conv1:out": 12},
    "vgg": {"features.0:out": 6, "features.4:out": 10, "classifier.0:out": 16, "classifier.3:out": 16},
    "densenet": {"stem:out": 6, "convs.0:out": 4, "convs.1:out": 4, "convs.2:out": 4},
    "mobilenet": {"stem.0:out": 6, "expand.0:out": 18, "squeeze:out": 4},
    "resnext": {"reduce:groups": 4, "reduce:out": 3, "grouped:out": 2},
    "unet": {"down1:out": 6, "down2:groups": 2, "up:out": 5, "mix:out": 7},
    "gpt": {"wte:out": 12, **{f"h.{i}.{name}": size for i in (0, 1) for name, size in (
        ("attn.qkv:heads", 3), ("attn.qkv:query_key", 4), ("attn.qkv:value", 4), ("fc1:out", 24))}},
    "vit": {"patch:out": 12, **{f"blocks.{i}.{name}": size for i in (0, 1) for name, size in (
        ("attn.qkv:heads", 3), ("attn.qkv:head_size", 4), ("fc1:out", 24))}},
    "mlp": {"net.0:out": 7, "net.2:out": 5},
    "shared_mlp": {"first:out": 8},
    "tied_mlp": {},
    "recurrent": {},
    "torch_encoder": {"body.layers.0.linear1:out": 16, "body.layers.1.linear1:out": 16},
    "plain_encoder": {"first:out": 8, **{f"body.layers.{i}.{name}": size for i in (0, 1) for name, size in (
        ("self_attn.query:heads", 2), ("self_attn.query:query_key", 4), ("self_attn.value:value", 4),
        ("linear1:out", 16))}},
}  # fmt: skip


@pytest.mark.parametrize("name", GROWABLE)
def test_what_can_grow(name):
    assert {space.name: space.size for space in captured(name).growable} == GROWABLE[name]


@pytest.mark.parametrize(
    ("name", "space", "reason"),
    [
        ("mlp", "net.0:in", "it is an input"),
        ("mlp", "net.4:out", "it is an output"),
        ("recurrent", "first:out", "gru in gru is recurrent, with gates packed inside"),
        ("torch_encoder", "first:out", "nn.MultiheadAttention asserts"),
        ("tied_mlp", "code:out", "code.weight both writes and reads it"),
        ("unet", "down2:out", "group_norm in norm normalises over the channels of a group"),
    ],
)
def test_what_cannot_grow_says_why(name, space, reason):
    assert reason in captured(name).space(space).reason


def test_members_of_a_stream_are_all_that_read_or_write_it():
    stream = captured("resnet").space("conv1:out")
    assert {(m.name, m.axis) for m in stream.members if m.name.endswith("weight") and "bn" not in m.name} == {
        ("conv1.weight", 0), ("layer1.0.conv1.weight", 1), ("layer1.0.conv2.weight", 0), ("layer1.1.conv1.weight", 1),
        ("layer1.1.conv2.weight", 0), ("layer2.0.conv1.weight", 1), ("layer2.0.downsample.0.weight", 1),
    }  # fmt: skip


def test_a_flattened_map_is_read_at_every_position():
    (reader,) = [m for m in captured("vgg").space("features.4:out").members if m.name == "classifier.0.weight"]
    assert (reader.axis, reader.extent, reader.places) == (1, 40, 4)


def test_printing_lists_every_space_with_members_and_reasons():
    text = str(captured("mlp"))
    assert text.splitlines()[0] == "Mlp: 4 channel spaces, 2 can grow"
    assert "net.0:out: 7\n  net.0.weight axis 0 (7) writes" in text
    assert "net.4:out: 3, fixed: it is an output" in text
    assert spaces(captured("mlp")) == captured("mlp").spaces


class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 6), nn.Linear(6, 2)

    def forward(self, x):
        return self.last(torch.fft.ifft(torch.fft.fft(self.first(x))).real)


def test_an_operation_without_a_rule_fixes_what_it_touches_and_is_named():
    net = from_module(Odd(), torch.randn(2, 4))
    assert "no rule for the operation" in net.space("first:out").reason
    assert "no rule for" in str(net)


def test_what_cannot_be_captured_is_one_sentence_with_the_line():
    with pytest.raises(CaptureError, match=r"Branching cannot be captured at capture_zoo.py:\d+ `if x.sum\(\) > 0:`"):
        from_module(Branching(), torch.randn(2, 4))


def test_what_is_no_module_is_refused():
    with pytest.raises(DagrowError, match="takes a torch.nn.Module, not function"):
        from_module(lambda x: x, torch.randn(2, 4))


def test_an_unknown_space_is_answered_by_the_nearest_name():
    with pytest.raises(CaptureError, match=r"unknown space 'net\.0:ou' \(did you mean 'net\.0:out'\?\)"):
        captured("mlp").space("net.0:ou")


def test_a_module_is_captured_again_in_its_other_mode():
    net = captured("vgg").copied()
    before = net.exported
    net.model.train()
    assert net.exported is not before
    assert [space.name for space in net.growable] == list(GROWABLE["vgg"])


class Named(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 5), nn.Linear(5, 2)

    def forward(self, left, right):
        return self.last(torch.relu(self.first(left - 2 * right)))


def test_named_inputs_may_come_in_any_order():
    left, right = torch.randn(3, 4), torch.randn(3, 4)
    net = from_module(Named().eval(), {"left": left, "right": right})
    with torch.no_grad():
        expected = net.model(left, right)
        torch.testing.assert_close(net.program.leaves({"right": right, "left": left})[0], expected)
    with pytest.raises(CaptureError, match=r"named inputs \[left, right\], these are \[left\]"):
        net.program.leaves({"left": left})


@pytest.mark.parametrize("name", ["resnet", "gpt"])
def test_the_captured_program_is_the_module_at_other_batch_sizes_and_leaves_it_alone(name):
    model, x = made(name)
    net = captured(name).copied()
    net.model.load_state_dict(model.state_dict())
    more = torch.cat([x, x, x[:1]])
    before = {key: value.clone() for key, value in net.model.state_dict().items()}
    assert net.exported.any_batch
    with torch.no_grad():
        torch.testing.assert_close(net.program.leaves(more)[0], model(more), rtol=1e-12, atol=1e-12)
    assert all(torch.equal(value, before[key]) for key, value in net.model.state_dict().items())


def test_a_form_that_a_rule_does_not_cover_is_named_and_fixed():
    class WithEllipsis(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = torch.nn.Linear(4, 6), torch.nn.Linear(6, 2)

        def forward(self, x):
            return torch.einsum("...i,ji->...j", self.a(x).relu(), self.b.weight)

    net = from_module(WithEllipsis(), (torch.randn(5, 4),))
    assert not net.growable
    assert net.space("a:out").reason == "no rule for the operation einsum"


def test_a_single_channel_is_listed_with_the_reason_why_it_stays():
    net = from_module(nn.Sequential(nn.Linear(2, 1), nn.Tanh(), nn.Linear(1, 4)), torch.zeros(2, 2))
    (hidden,) = [space for space in net.spaces if space.name == "0:out"]
    assert (hidden.size, hidden.grows) == (1, False)
    assert "begin with two" in hidden.reason
    plan = dagrow.propose(net, nn.functional.mse_loss, [(torch.randn(20, 2), torch.randn(20, 4))])
    assert ("0:out", hidden.reason) in plan.fixed
