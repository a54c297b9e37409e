"""Attention of torch that can grow: replaced by an equal module, on request."""

from __future__ import annotations

from torch import nn

from dagrow.errors import CaptureError
from dagrow.resize.plain_attention import attention_written_out


def with_plain_attention(model: nn.Module) -> nn.Module:
    """Replaces each `nn.MultiheadAttention` in a module, which asserts its sizes, by an equal module that can grow.

    Heads, what queries and keys have in common, and values are channel spaces then, as in an attention that a person
    has written. Encoder and decoder layers of torch take the replacement, without their fast path. Weights of the
    projections of queries, keys and values are new parameters: make the optimizer afterwards. ``resize.py`` of
    `save_module` does the same before it loads.

    Args:
        model: any module; it is changed in place.

    Returns:
        The module; the replacement if it was itself an attention.

    Raises:
        CaptureError: if an attention appends keys of its own (``add_bias_kv``, ``add_zero_attn``); then nothing is
            replaced.
    """
    try:
        return attention_written_out(model)
    except ValueError as error:
        raise CaptureError(str(error)) from error
