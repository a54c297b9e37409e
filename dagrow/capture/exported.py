"""A module captured by ``torch.export``: its operators in order, with live parameters and a free batch size."""

from __future__ import annotations

import logging
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from dagrow.capture.inplace import is_safe
from dagrow.errors import CaptureError

_TORCH = str(Path(torch.__file__).parent)
_OWN = str(Path(__file__).parent)


@dataclass(frozen=True)
class Exported:
    """A captured module.

    Attributes:
        graph: ATen operators; inputs are placeholders, the module's own tensors among them.
        root: the owner of the graph, which holds the parts of operations with parts, as blocks without gradients.
        tensors: per placeholder of a tensor of the module, its name in the module.
        buffers: names of those that are no parameters.
        inputs: placeholders of the inputs, in the order of their leaves.
        keywords: names of the inputs that are given by name, in the order of their leaves.
        outputs: nodes of the outputs, in the order of their leaves; None for what is no tensor.
        constants: per placeholder of a constant of the trace, the constant.
        any_batch: whether other batch sizes may be given.
        unflatten: from the leaves of the outputs to what the module returns.
    """

    graph: fx.Graph
    root: fx.GraphModule
    tensors: Mapping[str, str]
    buffers: frozenset[str]
    inputs: tuple[str, ...]
    keywords: tuple[str, ...]
    outputs: tuple[fx.Node | None, ...]
    constants: Mapping[str, Any]
    any_batch: bool
    unflatten: Any


def as_call(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """How a module is called with inputs: a tensor, a tuple of arguments, or a dict of named ones."""
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    if isinstance(inputs, (tuple, list)):
        return tuple(inputs), {}
    return (inputs,), {}


def batch_size(inputs: Any) -> int:
    """The extent of the first axis of the first tensor among inputs.

    Raises:
        CaptureError: if there is no tensor with an axis.
    """
    for leaf in pytree.tree_leaves(inputs):
        if isinstance(leaf, Tensor) and leaf.dim():
            return int(leaf.shape[0])
    raise CaptureError("the example inputs hold no tensor with a batch axis; give what the model is called with")


def with_batch(inputs: Any, size: int) -> Any:
    """Inputs of another batch size, made of the samples that are there; what has no batch axis stays."""
    now = batch_size(inputs)

    def resized(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor) or not leaf.dim() or leaf.shape[0] != now:
            return leaf
        return leaf[torch.arange(size, device=leaf.device) % now]

    return pytree.tree_map(resized, inputs)


def export(model: nn.Module, inputs: Any) -> Exported:
    """Captures a module as it is now, in its present mode.

    Args:
        model: any.
        inputs: what it is called with: a tensor, a tuple of arguments, or a dict of named ones.

    Raises:
        CaptureError: in one sentence, with the line of the model's own code, if it cannot be captured.
    """
    inputs = with_batch(inputs, max(2, batch_size(inputs)))
    args, kwargs = as_call(inputs)
    found = None
    with _quiet():
        for free in (True, False):
            try:
                found = torch.export.export(
                    model, args, kwargs, dynamic_shapes=_free_batch(args, kwargs) if free else None, strict=False
                )
                break
            except Exception as error:
                if not free:
                    raise CaptureError(_sentence(model, error)) from None
        assert found is not None
        program = found if is_safe(found.graph) else found.run_decompositions({})
    signature = program.graph_signature
    tensors = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    constants = {name: program.constants[key] for name, key in signature.inputs_to_lifted_tensor_constants.items()}
    named = {node.name: node for node in program.graph.nodes}
    placeholders = [node for node in program.graph.nodes if node.op == "placeholder"]
    owned = {*tensors, *constants}
    outputs = tuple(
        named.get(spec.arg.name) if hasattr(spec.arg, "name") else None
        for spec in signature.output_specs
        if spec.kind.name == "USER_OUTPUT"
    )
    free = any(
        isinstance(node.meta.get("val"), Tensor)
        and any(isinstance(size, torch.SymInt) for size in node.meta["val"].shape[:1])
        for node in placeholders
    )
    return Exported(
        graph=program.graph,
        root=program.graph_module,
        tensors=tensors,
        buffers=frozenset(signature.inputs_to_buffers.values()),
        inputs=tuple(node.name for node in placeholders if node.name not in owned),
        keywords=tuple(kwargs),
        outputs=outputs,
        constants=constants,
        any_batch=free,
        unflatten=lambda leaves: pytree.tree_unflatten(leaves, program.call_spec.out_spec),
    )


def _free_batch(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    size = batch_size((args, kwargs))
    auto = torch.export.Dim.AUTO

    def free(leaf: Any) -> Any:
        return {0: auto} if isinstance(leaf, Tensor) and leaf.dim() and leaf.shape[0] == size else None

    return pytree.tree_map(free, kwargs if kwargs else args)


def _sentence(model: nn.Module, error: Exception) -> str:
    """What went wrong where in the person's own code."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if not f.filename.startswith((_TORCH, _OWN)) and "importlib" not in f.filename]
    own = [frame for frame in own if frame.filename.endswith(".py") or frame.line]
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    place = f" at {Path(own[-1].filename).name}:{own[-1].lineno} `{own[-1].line}`" if own else ""
    return (
        f"{type(model).__name__} cannot be captured{place}: {first}; what the model does must not hang on the values "
        "of tensors (no `if`, `.item()` or `.numpy()` on them)"
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the notes of torch.export that are none of a person's business."""
    logger = logging.getLogger("torch")
    level = logger.level
    try:
        logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
