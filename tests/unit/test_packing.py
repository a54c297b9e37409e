"""Plain data and tensors go through JSON and safetensors without loss."""

import json
import math
from collections import OrderedDict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save

from dagrow.errors import RunError
from dagrow.serialization import from_bytes, pack, to_bytes, unpack

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text().filter(lambda key: key != "="), inner)
    ),
    max_leaves=6,
)


def through_files(value):
    tensors = {}
    text = json.dumps(pack(value, "value", tensors), allow_nan=False)
    return unpack(json.loads(text), load(save(tensors)))


@settings(max_examples=50, deadline=None)
@given(PLAIN)
def test_plain_data_come_back(value):
    found = through_files(value)
    assert found == value
    assert repr(found) == repr(value)


def test_nan_comes_back():
    assert math.isnan(through_files([math.nan])[0])


SOURCE = torch.arange(24.0).reshape(2, 3, 4)
TENSORS = {
    "plain": SOURCE,
    "transposed": SOURCE.permute(2, 0, 1),
    "channels_last": torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last),
    "cut": SOURCE[:, :2, 1:3],
    "expanded": torch.ones(1, 3).expand(4, 3),
    "number": torch.tensor(3),
    "empty": torch.zeros(0, 3),
    "flags": torch.tensor([True, False]),
    "bytes": torch.tensor([1, 255], dtype=torch.uint8),
    "double": torch.rand(3, dtype=torch.float64),
    "half": torch.rand(3).to(torch.bfloat16),
    "nan": torch.tensor([math.nan, math.inf, -0.0]),
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_come_back_in_their_memory_order(name):
    tensor = TENSORS[name]
    found = through_files({"deep": [tensor]})["deep"][0]
    assert found.dtype == tensor.dtype
    assert torch.equal(found.nan_to_num(), tensor.nan_to_num())
    if name in ("plain", "transposed", "channels_last"):
        assert found.stride() == tensor.stride()


def test_tensors_that_share_memory_are_kept_apart():
    one, two = through_files(OrderedDict(one=SOURCE, two=SOURCE[0])).values()
    one += 1
    assert torch.equal(two, SOURCE[0])


@pytest.mark.parametrize("value", [object(), {1: 2}, {"=": 1}, {1, 2}, [b"bytes"]])
def test_anything_else_is_refused(value):
    with pytest.raises(RunError, match="value.*cannot be kept: it is neither plain data nor a tensor"):
        pack(value, "value", {})


@pytest.mark.parametrize(
    "packed",
    [
        {"=": "code"},
        {"=": ["tensor"]},
        {"=": "tensor", "name": "no"},
        {"=": "tensor", "name": "t", "stride": [0, 0]},
        {"=": "tensor", "name": "t", "stride": [2**62, 1]},
        {"=": "tensor", "name": "t", "stride": [2**40, 1]},
        {"=": "tensor", "name": "t", "stride": ["a", "b"]},
        {"=": "tensor", "name": "t", "stride": [1]},
        {"=": "float"},
    ],
)
def test_what_pretends_to_be_packed(packed):
    with pytest.raises((KeyError, TypeError, ValueError, RuntimeError)):
        unpack(packed, {"t": torch.zeros(2, 3)})


def test_one_string_of_bytes_holds_it_all():
    found = from_bytes(to_bytes({"weights": (SOURCE.mT, None), "level": math.inf}))
    torch.testing.assert_close(found["weights"][0], SOURCE.mT, rtol=0, atol=0)
    assert found["weights"][0].stride() == SOURCE.mT.stride()
    assert (found["weights"][1], found["level"]) == (None, math.inf)
