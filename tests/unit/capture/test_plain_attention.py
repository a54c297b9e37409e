"""The module in place of nn.MultiheadAttention gives what that gives, grows, and comes back without this package."""

import copy
import itertools
import subprocess
import sys

import pytest
import torch
from capture_zoo import TorchEncoder, captured, made
from torch import nn

import dagrow
from dagrow import CaptureError, with_plain_attention
from dagrow.module_growth import apply_to_module, propose_for_module
from dagrow.resize import widen

ROWS, TOKENS, KEYS, WIDTH, HEADS = 3, 4, 6, 8, 2


def drawn(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def masks():
    """None, numbers, truth values, one per head; and for padding."""
    of_head = torch.rand(ROWS * HEADS, TOKENS, KEYS) > 0.8
    few = torch.rand(TOKENS, KEYS) > 0.7
    padding = torch.rand(ROWS, KEYS) > 0.8
    for mask in (of_head, few, padding):
        mask[..., 0] = False  # nobody may look at nothing
    return [None, drawn(TOKENS, KEYS), few, of_head], [None, padding]


@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")
@pytest.mark.parametrize(
    "options", [{}, {"batch_first": True}, {"batch_first": True, "kdim": 5, "vdim": 3}, {"bias": False}], ids=str
)
def test_it_gives_what_the_attention_of_torch_gives(options):
    torch.manual_seed(0)
    attention = nn.MultiheadAttention(WIDTH, HEADS, **options).double().eval()
    plain = with_plain_attention(copy.deepcopy(attention))
    assert not isinstance(plain, nn.MultiheadAttention)
    x = [
        drawn(ROWS, TOKENS, WIDTH),
        drawn(ROWS, KEYS, options.get("kdim", 8)),
        drawn(ROWS, KEYS, options.get("vdim", 8)),
    ]
    if not options.get("batch_first"):
        x = [value.transpose(0, 1) for value in x]
    for mask, padding in itertools.product(*masks()):
        for weights, mean in ((True, True), (True, False), (False, True)):
            asked = {
                "attn_mask": mask,
                "key_padding_mask": padding,
                "need_weights": weights,
                "average_attn_weights": mean,
            }
            found, expected = plain(*x, **asked), attention(*x, **asked)
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    alone = [value.select(0 if options.get("batch_first") else 1, 0) for value in x]
    torch.testing.assert_close(plain(*alone), attention(*alone), rtol=0, atol=1e-12)


def test_layers_of_torch_take_it_and_what_is_shared_stays_shared():
    model, x = made("torch_encoder")
    expected = model(x)
    attention = model.body.layers[0].self_attn
    model.again = model.body.again = model.body.once_more = attention
    attention.in_proj_weight.requires_grad_(False)
    out = attention.out_proj.weight
    assert with_plain_attention(model) is model
    assert model.again is model.body.again is model.body.once_more is model.body.layers[0].self_attn
    assert model.again.out_proj.weight is out
    assert [part.weight.requires_grad for part in (model.again.query, model.again.out_proj)] == [False, True]
    torch.testing.assert_close(model(x), expected, rtol=0, atol=1e-12)
    assert not any(isinstance(part, nn.MultiheadAttention) for part in model.modules())
    model.train()
    model(x).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)


def test_a_class_of_ones_own_stays():
    class Other(nn.MultiheadAttention):
        """May compute something else."""

    model = nn.Sequential(Other(4, 2))
    assert type(with_plain_attention(model)[0]) is Other


def test_what_is_not_written_out_is_refused_and_nothing_replaced():
    model = nn.Sequential(nn.MultiheadAttention(4, 2), nn.MultiheadAttention(4, 2, add_bias_kv=True))
    with pytest.raises(CaptureError, match="with add_bias_kv or add_zero_attn is not written out"):
        with_plain_attention(model)
    assert all(isinstance(part, nn.MultiheadAttention) for part in model)


@pytest.mark.parametrize("name", ["self_attn.query:heads", "self_attn.query:query_key", "self_attn.value:value"])
def test_what_grows_inside_gains_what_was_promised(name):
    net = captured("plain_encoder").copied()
    x = drawn(40, 5, 4)
    data = [(x, torch.tanh(3 * x[:, :1, :3] * x[:, 1:2, :3]).mean(1))]
    space = f"body.layers.0.{name}"
    loss = nn.functional.mse_loss
    before = loss(net.model(x), data[0][1]).item()
    (candidate,) = propose_for_module(net, loss, data, spaces=[space], neurons=1, held_out=0.0).candidates
    assert candidate.gain > 0
    apply_to_module(net, candidate)
    assert before - loss(net.model(x), data[0][1]).item() == pytest.approx(candidate.gain, rel=1e-6)


def test_it_comes_back_by_torch_and_the_own_class(tmp_path):
    net = captured("plain_encoder").copied()
    for name in ("self_attn.query:heads", "self_attn.query:query_key", "self_attn.value:value"):
        widen(net, f"body.layers.1.{name}", 1)
    dagrow.save_module(net, tmp_path)
    x = drawn(2, 5, 4)
    torch.save({"x": x, "y": net.model(x).detach()}, tmp_path / "seen.pt")
    code = (
        "import sys; sys.modules['dagrow'] = None; sys.path[:0] = sys.argv[1:]\n"
        "import torch; from resize import load; from torch import nn\n"
        f"class Own(nn.Module):\n{own_class()}\n"
        "model = load(Own().double(), sys.argv[1]).eval(); seen = torch.load('seen.pt')\n"
        "assert model.body.layers[1].self_attn.num_heads == 3\n"
        "torch.testing.assert_close(model(seen['x']), seen['y'], rtol=0, atol=1e-12)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def own_class():
    """The body of the class of the zoo, for a program without it."""
    import inspect

    return "".join(inspect.getsourcelines(TorchEncoder)[0][1:])
