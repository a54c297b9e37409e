"""The conv3d op: a kernel on volumes ``[channels, depth, height, width]``."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import nn

from dagrow.ops.convolution import Convolution, Extent, Margin, each_axis, short_form

Triple = Annotated[tuple[Extent, Extent, Extent], each_axis(3), short_form]
Padding = Annotated[tuple[Margin, Margin, Margin] | Literal["same"], each_axis(3), short_form]


class Conv3d(Convolution):
    """A convolution on volumes ``[channels, depth, height, width]``; ``padding: same`` keeps extents at stride 1."""

    name: ClassVar[str] = "conv3d"
    layer: ClassVar[type[nn.Conv1d | nn.Conv2d | nn.Conv3d]] = nn.Conv3d

    op: Literal["conv3d"] = "conv3d"
    kernel: Triple = Field(default=(3, 3, 3), description="depth, height and width of the kernel")
    stride: Triple = Field(default=(1, 1, 1), description="step between output positions")
    padding: Padding = Field(
        default=(0, 0, 0), description="zeros around the volume; `same` keeps its extents (odd kernel, stride 1)"
    )
    dilation: Triple = Field(default=(1, 1, 1), description="step between kernel positions")
