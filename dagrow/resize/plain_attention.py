"""Multi-head attention written out, in place of nn.MultiheadAttention, which asserts its sizes. Needs torch only."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class PlainAttention(nn.Module):
    """What `nn.MultiheadAttention` computes, with a projection each for queries, keys, values and the output.

    Sizes are those of the projections: heads may have more or fewer features than the input has for each.

    Args:
        given: whose weights are taken over, the same tensors where they are apart already.

    Raises:
        ValueError: if it appends keys of its own (``add_bias_kv``, ``add_zero_attn``).
    """

    # torch's own encoder layers ask for these, and take a way of their own unless there is no packed bias.
    in_proj_bias = None
    _qkv_same_embed_dim = True

    def __init__(self, given: nn.MultiheadAttention) -> None:
        super().__init__()
        if given.bias_k is not None or given.bias_v is not None or given.add_zero_attn:
            raise ValueError("nn.MultiheadAttention with add_bias_kv or add_zero_attn is not written out")
        self.num_heads, self.dropout, self.batch_first = given.num_heads, given.dropout, given.batch_first
        packed, bias = given.in_proj_weight, given.in_proj_bias
        weights = (
            packed.chunk(3) if packed is not None else (given.q_proj_weight, given.k_proj_weight, given.v_proj_weight)
        )
        biases = bias.chunk(3) if bias is not None else (None, None, None)
        self.query, self.key, self.value = (_linear(w, b) for w, b in zip(weights, biases, strict=True))
        self.out_proj = _linear(given.out_proj.weight, given.out_proj.bias)
        self.train(given.training)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """As that of `nn.MultiheadAttention`: the outputs, and the weights of attention if they are asked for."""
        batched = query.dim() == 3
        if not batched:
            query, key, value = query.unsqueeze(0), key.unsqueeze(0), value.unsqueeze(0)
            key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
        elif not self.batch_first:
            query, key, value = query.transpose(0, 1), key.transpose(0, 1), value.transpose(0, 1)
        # [batch, heads, tokens, features of a head]
        q, k, v = self._heads(self.query(query)), self._heads(self.key(key)), self._heads(self.value(value))
        mask = _mask(attn_mask, key_padding_mask, q)
        weights = None
        if need_weights:
            scores = (q @ k.transpose(-2, -1)) * q.shape[-1] ** -0.5
            weights = torch.softmax(scores if mask is None else scores + mask, dim=-1)
            weights = functional.dropout(weights, self.dropout, self.training)
            mixed = weights @ v
            weights = weights.mean(1) if average_attn_weights else weights
        else:
            dropped = self.dropout if self.training else 0.0
            mixed = functional.scaled_dot_product_attention(q, k, v, mask, dropped)
        out = self.out_proj(mixed.transpose(1, 2).flatten(2))
        if not batched:
            return out.squeeze(0), weights if weights is None else weights.squeeze(0)
        return out if self.batch_first else out.transpose(0, 1), weights

    def _heads(self, projected: Tensor) -> Tensor:
        return projected.view(*projected.shape[:-1], self.num_heads, -1).transpose(1, 2)


WRITTEN_OUT: dict[type[nn.Module], Callable[[Any], nn.Module]] = {nn.MultiheadAttention: PlainAttention}
"""Layers and what takes their place; a class derived of one may compute something else, and stays."""


def attention_written_out(model: nn.Module) -> nn.Module:
    """Replaces each `nn.MultiheadAttention` in a module by a `PlainAttention` of the same weights, in place.

    Parameters of the projections of queries, keys and values are new: make the optimizer afterwards.

    Args:
        model: any module.

    Returns:
        The module; a `PlainAttention` if it was itself an attention.

    Raises:
        ValueError: if an attention appends keys of its own (``add_bias_kv``, ``add_zero_attn``).
    """
    if type(model) in WRITTEN_OUT:
        return WRITTEN_OUT[type(model)](model)
    # Parts that are held in several places, or twice in one, stay one.
    made = {part: WRITTEN_OUT[type(part)](part) for part in model.modules() if type(part) in WRITTEN_OUT}
    for part in list(model.modules()):
        for name, child in list(part._modules.items()):
            if child in made:
                setattr(part, name, made[child])
    return model


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    # On the meta device: nothing is drawn.
    made = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta")
    for name, value in (("weight", weight), ("bias", bias)):
        if value is not None:
            # Rows of a packed tensor are no parameter of their own.
            whole = isinstance(value, nn.Parameter)
            setattr(made, name, value if whole else nn.Parameter(value.detach().clone(), value.requires_grad))
    return made


def _mask(attn_mask: Tensor | None, key_padding_mask: Tensor | None, q: Tensor) -> Tensor | None:
    """What is added to the scores, ``[batch or 1, heads or 1, tokens, keys]``; None if nothing is."""
    masks = []
    if attn_mask is not None:
        added = _added(attn_mask, q)
        masks.append(added if added.dim() == 2 else added.view(len(q), -1, *added.shape[1:]))
    if key_padding_mask is not None:
        masks.append(_added(key_padding_mask, q)[:, None, None, :])
    return sum(masks[1:], masks[0]) if masks else None


def _added(mask: Tensor, like: Tensor) -> Tensor:
    """A mask of truth values (True: not looked at) as numbers."""
    if mask.dtype != torch.bool:
        return mask.to(like.dtype)
    return torch.zeros(mask.shape, dtype=like.dtype, device=like.device).masked_fill(mask, float("-inf"))
