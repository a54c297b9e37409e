"""Every space that can grow is grown in place: the same function, a plain module, an optimizer that goes on."""

import copy
import itertools

import pytest
import torch
from capture_zoo import ZOO, captured
from torch import nn
from torch.optim.swa_utils import AveragedModel

from dagrow.capture import Role, from_module
from dagrow.errors import GrowthError, OptimizerError
from dagrow.resize import widen

SPACES = {
    "resnet": ["conv1:out", "layer2.0.conv1:out", "layer2.0.downsample.0:out"],
    "vgg": ["features.0:out", "features.4:out", "classifier.3:out"],
    "densenet": ["stem:out", "convs.1:out"],
    "mobilenet": ["stem.0:out", "expand.0:out", "squeeze:out"],
    "resnext": ["reduce:groups", "reduce:out", "grouped:out"],
    "unet": ["down1:out", "down2:groups", "up:out"],
    "gpt": ["wte:out", "h.0.attn.qkv:heads", "h.0.attn.qkv:query_key", "h.0.attn.qkv:value", "h.0.fc1:out"],
    "gpt_rms": ["wte:out"],
    "vit": ["patch:out", "blocks.0.attn.qkv:heads", "blocks.0.attn.qkv:head_size"],
    "mlp": ["net.0:out", "net.2:out"],
    "shared_mlp": ["first:out"],
}


def outputs(net, training=False):
    net.model.train(training)
    with torch.no_grad():
        found = [net(x) for x in net.examples()]
    net.model.eval()
    return found


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert float((one - other).abs().max()) <= 1e-9 * float(other.abs().max())


@pytest.mark.share(0.42)
@pytest.mark.parametrize("name", SPACES)
def test_every_space_grows_in_place_and_the_function_is_kept(name):
    for space in map(captured(name).space, SPACES[name]):
        net = captured(name).copied()
        before, kind = outputs(net), type(net.model).forward
        widened = widen(net, space, 2, seed=1)
        assert space.name in widened.spaces
        assert_same(outputs(net), before)
        assert type(net.model).forward is kind
        assert "forward" not in vars(net.model)
        for member in space.members:
            tensor = net.model.state_dict()[member.name]
            assert tensor.shape[member.axis] > member.extent, (space.name, member.name)


@pytest.mark.parametrize("name", ["mlp", "mobilenet", "gpt", "gpt_rms"])
def test_new_weights_start_to_train(name):
    x = torch.cat([ZOO[name][1]() for _ in range(8)])
    x = x.double() if x.is_floating_point() else x
    for space in map(captured(name).space, SPACES[name]):
        net = captured(name).copied()
        widened = widen(net, space, 8)
        optimizer = torch.optim.SGD(net.model.parameters(), lr=1e-3)
        for _ in range(2):
            optimizer.zero_grad()
            net(x).square().sum().backward()
            optimizer.step()
        for each in widened.tensors:
            if isinstance(each.new, nn.Parameter):
                assert float(each.new.grad[each.fresh].abs().sum()) > 0, (space.name, each.name)


@pytest.mark.parametrize(
    ("name", "space"),
    [("resnet", "conv1:out"), ("vgg", "features.4:out"), ("densenet", "stem:out"), ("resnext", "reduce:groups"),
     ("mobilenet", "expand.0:out"), ("mlp", "net.0:out"), ("gpt", "h.0.fc1:out")],
)  # fmt: skip
def test_copies_of_channels_share_what_is_read_of_them(name, space):
    net = captured(name).copied()
    before, size = outputs(net), net.space(space).size
    widened = widen(net, space, size + 1, copies=True)
    assert_same(outputs(net), before)
    net.model.zero_grad()
    net(net.example_inputs).square().sum().backward()
    writer = next(each for each in widened.tensors if each.name.endswith("weight") and each.new.dim() > 1)
    # Copies are equal when they come, and their gradients are not.
    assert torch.unique(writer.new.detach().flatten(1), dim=0).shape[0] < len(writer.new)
    assert torch.unique(writer.new.grad.flatten(1), dim=0).shape[0] > len(writer.old)


@pytest.mark.parametrize("space", ["wte:out", "h.0.attn.qkv:query_key"])
def test_channels_under_norms_and_products_are_not_copied(space):
    net = captured("gpt").copied()
    with pytest.raises(GrowthError, match="cannot be copied"):
        widen(net, space, 2, copies=True)


def test_all_spaces_one_after_another_and_captured_again():
    net = captured("resnet").copied()
    before = outputs(net)
    for name in [space.name for space in net.growable]:
        widen(net, name, 3)
    assert_same(outputs(net), before)
    assert [space.size for space in net.growable] == [11, 11, 11, 15, 15, 15]
    assert net.model.layer1[0].conv1.out_channels == 11
    assert net.model.bn1.num_features == 11
    assert net.model.fc.in_features == 15


def test_depthwise_and_grouped_convolutions_have_more_groups():
    net = captured("mobilenet").copied()
    widen(net, "expand.0:out", 2)
    assert (net.model.depth[0].groups, net.model.depth[0].in_channels) == (20, 20)
    net = captured("resnext").copied()
    widen(net, "reduce:groups", 1)
    assert (net.model.grouped.groups, net.model.reduce.out_channels, net.model.grouped.out_channels) == (5, 15, 10)
    net = captured("unet").copied()
    widen(net, "down2:groups", 1)
    assert (net.model.norm.num_groups, net.model.norm.num_channels) == (3, 12)


def test_numbers_in_the_code_are_found_by_trial():
    net = captured("vit").copied()
    assert widen(net, "blocks.0.attn.qkv:heads", 1).settings == ("blocks.0.attn.num_heads",)
    assert net.model.blocks[0].attn.num_heads == 4
    net = captured("gpt_written").copied()
    widened = widen(net, "h.0.attn.qkv:query_key", 1)
    assert len(widened.spaces) == 2
    assert widened.settings == ("h.0.attn.width",)
    assert widened.start.rescaled


def test_tied_weights_stay_tied():
    net = captured("gpt").copied()
    widen(net, "wte:out", 4)
    assert net.model.lm_head.weight is net.model.wte.weight
    assert net.model.wte.embedding_dim == net.model.lm_head.in_features == 16
    assert net.model.ln_f.normalized_shape == (16,)


def test_a_size_can_be_made_a_multiple():
    net = captured("mlp").copied()
    widen(net, "net.0:out", 2, multiple_of=8)
    assert net.model.net[0].out_features == 16


@pytest.mark.parametrize("make", [torch.optim.AdamW, lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)])
def test_the_optimizer_goes_on_where_it_was(make):
    net = captured("gpt").copied()
    decayed = [p for p in net.model.parameters() if p.dim() > 1]
    others = [p for p in net.model.parameters() if p.dim() <= 1]
    optimizer = make([{"params": decayed}, {"params": others}])
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=10)
    for _ in range(2):
        optimizer.zero_grad()
        net(net.example_inputs).square().sum().backward()
        optimizer.step()
        scheduler.step()
    names = {id(p): name for name, p in net.model.named_parameters()}
    order = [[names[id(p)] for p in group["params"]] for group in optimizer.param_groups]
    state = {names[id(p)]: copy.deepcopy(own) for p, own in optimizer.state.items()}
    gradients = {name: p.grad.clone() for name, p in net.model.named_parameters()}
    widened = widen(net, "wte:out", 3, optimizer)
    now = dict(net.model.named_parameters())
    assert [[id(p) for p in group["params"]] for group in optimizer.param_groups] == [
        [id(now[name]) for name in own] for own in order
    ]
    fresh = {each.name: each.fresh for each in widened.tensors}
    for name, own in state.items():
        new = optimizer.state[now[name]]
        for key, value in own.items():
            if value is not None and value.dim():
                kept = torch.ones_like(value, dtype=torch.bool) if name not in fresh else ~fresh[name]
                assert torch.equal(new[key][kept], value.flatten())
                assert not new[key][~kept].any() if name in fresh else True
            else:
                assert new[key] == value
        kept = ~fresh[name] if name in fresh else torch.ones_like(now[name], dtype=torch.bool)
        assert torch.equal(now[name].grad[kept], gradients[name].flatten())
    optimizer.step()
    scheduler.step()


def test_an_average_grows_along():
    net = captured("mlp").copied()
    average = AveragedModel(net.model)
    with torch.no_grad():
        for parameter in net.model.parameters():
            parameter.add_(0.1)
    average.update_parameters(net.model)
    with torch.no_grad():
        before = average(net.example_inputs)
    widen(net, "net.0:out", 2, averages=[average])
    with torch.no_grad():
        torch.testing.assert_close(average(net.example_inputs), before)
    average.update_parameters(net.model)
    assert average.module.net[0].out_features == 9


class Counting(nn.Module):
    """Its number of features is written into the code, where no trial finds it."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 6), nn.Linear(6, 2)

    def forward(self, x):
        return self.last(torch.relu(self.first(x)).view(-1, 6))


class Listed(nn.Module):
    """Its sizes are in a list, and one number of it is the size of something else."""

    def __init__(self):
        super().__init__()
        self.sizes, self.depth = [2, 6], 6
        self.first, self.last = nn.Linear(4, 12), nn.Linear(12, 2)

    def forward(self, x):
        assert self.depth == 6
        return self.last(torch.relu(self.first(x)).view(-1, *self.sizes).flatten(1))


def test_sizes_in_lists_are_found_and_other_numbers_left_alone():

    net = from_module(Listed().double().eval(), torch.randn(3, 4).double())
    assert {space.name: space.size for space in net.growable} == {"first:out": 2, "first:out2": 6}
    widened = widen(net, "first:out2", 1)
    assert widened.settings == ("sizes",)
    assert (net.model.sizes, net.model.depth, net.model.first.out_features) == ([2, 7], 6, 14)
    widened.undo()
    assert net.model.sizes == [2, 6]


def everything(net):
    model = net.model
    return (
        {name: (id(tensor), tensor.clone()) for name, tensor in model.state_dict(keep_vars=True).items()},
        {path: {k: v for k, v in vars(m).items() if not k.startswith("_")} for path, m in model.named_modules()},
    )


def assert_untouched(net, before):
    tensors, attributes = everything(net)
    assert {n: i for n, (i, _) in tensors.items()} == {n: i for n, (i, _) in before[0].items()}
    assert all(torch.equal(value, before[0][name][1]) for name, (_, value) in tensors.items())
    assert attributes == before[1]


def test_what_does_not_work_out_is_put_back():

    net = from_module(Counting().double().eval(), torch.randn(2, 4).double())
    optimizer = torch.optim.Adam(net.model.parameters())
    before, groups = everything(net), [list(map(id, group["params"])) for group in optimizer.param_groups]
    with pytest.raises(GrowthError, match="and the module is as before: its code does not run"):
        widen(net, "first:out", 2, optimizer)
    assert_untouched(net, before)
    assert [list(map(id, group["params"])) for group in optimizer.param_groups] == groups


@pytest.mark.parametrize(
    ("space", "count", "options", "error", "message"),
    [
        ("net.4:out", 2, {}, GrowthError, "'net.4:out' cannot grow: it is an output"),
        ("net.0:out", 0, {}, GrowthError, "whole numbers from 1 on"),
        ("net.0:out", 1, {"optimizer": "other"}, OptimizerError, "no optimizer holds net.0.weight"),
        ("net.0:out", 1, {"frozen": "net.2.weight"}, GrowthError, "net.2.weight is frozen"),
    ],
)
def test_what_is_refused_changes_nothing(space, count, options, error, message):
    net = captured("mlp").copied()
    if "frozen" in options:
        net.model.get_parameter(options["frozen"]).requires_grad_(False)
    optimizer = torch.optim.Adam(net.model.net[4].parameters()) if "optimizer" in options else None
    before = everything(net)
    with pytest.raises(error, match=message):
        widen(net, space, count, optimizer)
    assert_untouched(net, before)


def test_undo_puts_everything_back():
    net = captured("gpt").copied()
    optimizer = torch.optim.AdamW(net.model.parameters())
    before = everything(net)
    done = [widen(net, space, 1, optimizer) for space in net.growable[:2]]
    for widened in reversed(done):
        widened.undo()
    assert_untouched(net, before)
    assert not net.attributes


def test_train_mode_is_checked_as_well():
    net = captured("resnet").copied()
    before = outputs(net, training=True)
    net = captured("resnet").copied()
    for space in itertools.islice(captured("resnet").growable, 1):
        widen(net, space, 2)
    assert_same(outputs(net, training=True), before)


def test_roles_are_found_for_every_member():
    members = [m for space in captured("resnet").growable for m in space.members]
    assert all(member.roles for member in members)
    assert {Role.WRITE, Role.READ} <= {role for member in members for role in member.roles}
