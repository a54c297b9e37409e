"""The way of new dimensions of queries and keys from the layers that write them to where they meet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from dagrow.capture import CapturedModule, Role, Space
from dagrow.capture.inplace import plain_name
from dagrow.module_growth.linear_map import LinearMap, find_maps
from dagrow.module_growth.passage import NoLinearPath
from dagrow.module_growth.readers import features_of
from dagrow.module_growth.way import Way

WITH_HEADS = 4
"""Axes of queries, keys and values: samples, heads, tokens, size; without heads, one less."""

_MEETING = {"scaled_dot_product_attention", "matmul", "bmm"}


class ScoreFlow(Way):
    """The way of new dimensions of queries and keys to where they meet.

    Args:
        captured: the module.
        space: that grows.

    Raises:
        NoLinearPath: with the reason, if they come to no attention, or in no simple way.

    Attributes:
        node: attention, or a product of two matrices.
        writers: layers that write queries and keys.
        steps: of the way.
        needed: nodes beside the way whose values the way needs.
    """

    def __init__(self, captured: CapturedModule, space: Space) -> None:
        super().__init__(captured, space)
        if space.kind != "plain" or len(space.dims) > 1:
            raise NoLinearPath("activations are multiplied over it, and a norm is over it")
        self.node = self._meeting()
        maps = find_maps(self.analysis)
        writers: dict[str, LinearMap] = {}
        for use in self.analysis.found.uses:
            if self.holds((use.dim,)) and use.role is Role.WRITE:
                writers[use.node] = self.written(maps, use)
            elif self.holds((use.dim,)) and use.role is not Role.SHIFT and space.label != "head_size":
                raise NoLinearPath(f"activations are multiplied over it, and {use.name} {use.role.value} it as well")
        self.writers = tuple(writers.values())
        apart = {self.node, *(writer.node for writer in self.writers)}
        self.steps = [node for node in self.nodes if node not in apart]
        self.needed = self.beside(self.steps)

    def _meeting(self) -> fx.Node:
        found: list[fx.Node] = []
        for node in self.analysis.exported.graph.nodes:
            if node.op != "call_function" or plain_name(node) not in _MEETING:
                continue
            if self.holds(self.dims(node.args[0])[-1:]) and node.args[1].op != "placeholder":
                found.append(node)
        if len(found) != 1 or not all(isinstance(argument, fx.Node) for argument in found[0].args[:2]):
            raise NoLinearPath("activations are multiplied over it, in other ways than in one attention")
        return found[0]

    @property
    def attends(self) -> bool:
        """Whether queries and keys meet in torch's attention, not in a product that is written out."""
        return plain_name(self.node) == "scaled_dot_product_attention"

    @property
    def wanted(self) -> set[fx.Node]:
        """Nodes whose values are to be known."""
        return self.needed | {writer.x for writer in self.writers} | {self.node, *self.node.all_input_nodes}

    def sides(self, tensors: Mapping[str, Tensor], values: Mapping[fx.Node, Any]) -> tuple[Side, Side]:
        """What queries and keys are made of.

        Args:
            tensors: of the module.
            values: of the nodes that are wanted.

        Raises:
            NoLinearPath: if they are not linear in what layers read, or have entries in common.
        """
        found: list[Side | None] = [None, None]
        for writer in self.writers:
            start = features_of(writer, tensors[writer.name], values[writer.x])
            images = self.passed(writer, self.start(writer, start), values, self.steps)
            marks = self.passed(writer, self.marked(writer, start), values, self.steps)
            for number, node in enumerate(self.node.args[:2]):
                if isinstance(node, fx.Node) and node in images:
                    if found[number] is not None:
                        raise NoLinearPath("activations are multiplied over it that several layers write")
                    turned = number == 1 and not self.attends
                    image, mark = (_by_head(x.mT if turned else x) for x in (images[node], marks[node]))
                    found[number] = Side(writer, image, mark[0, :, 0].abs().argmax(1))
        queries, keys = found
        if queries is None or keys is None:
            raise NoLinearPath("activations are multiplied over it that no plain linear layer writes")
        if queries.writer is keys.writer and bool(torch.isin(queries.entries, keys.entries).any()):
            raise NoLinearPath("it is multiplied by itself")
        return queries, keys

    def _argument(self, index: int, name: str, default: Any, values: Mapping[fx.Node, Any]) -> Any:
        given = self.node.args[index] if len(self.node.args) > index else self.node.kwargs.get(name, default)
        return values[given] if isinstance(given, fx.Node) else given

    def moment(self, queries: Side, keys: Side, values: Mapping[fx.Node, Any], goal: Tensor) -> Tensor:
        """``[heads, F, F']`` N of each query head, summed over samples.

        Args:
            queries: what they are made of.
            keys: likewise.
            values: of the nodes that are wanted.
            goal: desired update of the result of the attention, or of the product.
        """
        if not self.attends:
            return torch.einsum("bhtf,bhts,bhsg->hfg", queries.image, _by_head(goal), keys.image)
        q, k, v = (_by_head(values[node]) for node in self.node.args[:3])  # type: ignore[index]
        mask, causal = self._argument(3, "attn_mask", None, values), self._argument(5, "is_causal", False, values)
        if isinstance(mask, Tensor) and mask.dim() == values[self.node.args[0]].dim() < WITH_HEADS:  # type: ignore[index]
            mask = mask.unsqueeze(1)
        scale = self._argument(7, "scale", None, values)
        with torch.enable_grad():
            ghost = q.new_zeros(*q.shape[:-1], keys.image.shape[-1]).requires_grad_()
            out = F.scaled_dot_product_attention(
                torch.cat([q, ghost], -1), torch.cat([k, keys.image], -1), v, mask, 0.0, causal,
                scale=q.shape[-1] ** -0.5 if scale is None else scale,
                enable_gqa=bool(self._argument(8, "enable_gqa", False, values)),
            )  # fmt: skip
            (found,) = torch.autograd.grad(out, ghost, _by_head(goal))
        return torch.einsum("bhtf,bhtg->hfg", queries.image, found)


def _by_head(x: Tensor) -> Tensor:
    """``[samples, heads, tokens, ...]``; without heads there is one."""
    if WITH_HEADS - x.dim() not in (0, 1):
        raise NoLinearPath("activations are multiplied over it in more than samples, heads and tokens")
    return x if x.dim() == WITH_HEADS else x.unsqueeze(1)


@dataclass(frozen=True)
class Side:
    """Queries or keys.

    Attributes:
        writer: the layer that writes them.
        image: ``[samples, heads, tokens, F]`` what a new dimension of each is linear in.
        entries: ``[heads]`` which entry of a channel each head has.
    """

    writer: LinearMap
    image: Tensor
    entries: Tensor

    def second_moment(self) -> Tensor:
        """``[F, F]`` sum over samples and tokens; all heads are made of the same."""
        rows = self.image[:, 0].flatten(0, 1)
        return (rows.T @ rows).double()
