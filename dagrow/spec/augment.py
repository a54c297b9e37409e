"""What a run file says of training images that are changed a little each time they are seen."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dagrow.spec.graph import SpecPart

TorchvisionName = Literal["RandAugment", "TrivialAugmentWide", "AutoAugment", "AugMix"]


class AugmentSpec(SpecPart):
    """Random changes of maps, in this order; test samples and growth steps see them as they are."""

    flip: Literal["horizontal", "vertical", "both"] | None = Field(
        default=None, description="mirror half of the samples"
    )
    shift: int = Field(default=0, ge=0, le=4096, description="move by so many pixels at most, with zeros behind")
    torchvision: TorchvisionName | None = Field(
        default=None, description="a policy of torchvision.transforms.v2, where that is installed"
    )
