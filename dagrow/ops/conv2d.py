"""The conv2d op: a kernel on maps ``[channels, height, width]``."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import nn

from dagrow.ops.convolution import Convolution, Extent, Margin, each_axis, short_form

Pair = Annotated[tuple[Extent, Extent], each_axis(2), short_form]
Padding = Annotated[tuple[Margin, Margin] | Literal["same"], each_axis(2), short_form]


class Conv2d(Convolution):
    """A convolution on maps ``[channels, height, width]``; ``padding: same`` keeps height and width at stride 1."""

    name: ClassVar[str] = "conv2d"
    layer: ClassVar[type[nn.Conv1d | nn.Conv2d | nn.Conv3d]] = nn.Conv2d

    op: Literal["conv2d"] = "conv2d"
    kernel: Pair = Field(default=(3, 3), description="height and width of the kernel")
    stride: Pair = Field(default=(1, 1), description="step between output positions")
    padding: Padding = Field(
        default=(0, 0), description="zeros around the map; `same` keeps height and width (odd kernel, stride 1)"
    )
    dilation: Pair = Field(default=(1, 1), description="step between kernel positions")
