"""The conv1d op: a kernel on series ``[channels, length]``."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import nn

from dagrow.ops.convolution import Convolution, Extent, Margin, each_axis, short_form

One = Annotated[tuple[Extent], each_axis(1), short_form]
Padding = Annotated[tuple[Margin] | Literal["same"], each_axis(1), short_form]


class Conv1d(Convolution):
    """A convolution on series ``[channels, length]``; ``padding: same`` keeps its length at stride 1."""

    name: ClassVar[str] = "conv1d"
    layer: ClassVar[type[nn.Conv1d | nn.Conv2d | nn.Conv3d]] = nn.Conv1d

    op: Literal["conv1d"] = "conv1d"
    kernel: One = Field(default=(3,), description="length of the kernel")
    stride: One = Field(default=(1,), description="step between output positions")
    padding: Padding = Field(
        default=(0,), description="zeros around the series; `same` keeps its length (odd kernel, stride 1)"
    )
    dilation: One = Field(default=(1,), description="step between kernel positions")
