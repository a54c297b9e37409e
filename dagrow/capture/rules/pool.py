"""Pools and resizing: positions change, channels stay."""

from __future__ import annotations

from torch import Tensor

from dagrow.capture.rules.context import Context, Rule
from dagrow.capture.values import Value


def pool(context: Context) -> Value | tuple[Value, ...]:
    """The last axes are positions; how many, the name says."""
    value = context.value(context.node.args[0])
    count = next(int(digit) for digit in reversed(context.name) if digit in "123") if _digit(context.name) else 2
    result = Value((*value.dims[: len(value.dims) - count], *context.positions(count)))
    return result if isinstance(context.out, Tensor) else tuple(result for _ in context.out)


def _digit(name: str) -> bool:
    return any(digit in name for digit in "123")


_KINDS = ("max_pool", "avg_pool", "adaptive_avg_pool", "adaptive_max_pool", "upsample_nearest", "lp_pool")
_MORE = [
    "max_pool2d_with_indices",
    "max_pool1d_with_indices",
    "max_pool3d_with_indices",
    "upsample_bilinear2d",
    "upsample_bicubic2d",
    "upsample_linear1d",
    "upsample_trilinear3d",
    "_upsample_bicubic2d_aa",
    "_upsample_bilinear2d_aa",
    "_adaptive_avg_pool2d",
]

RULES: dict[str, Rule] = {
    **{f"{kind}{count}d": pool for kind in _KINDS for count in (1, 2, 3)},
    **dict.fromkeys(_MORE, pool),
}
