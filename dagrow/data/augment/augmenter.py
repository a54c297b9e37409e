"""All augmentations of a run, as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from dagrow.data.augment.augmentation import Augmentation, Place
from dagrow.data.augment.flip import Flip
from dagrow.data.augment.shift import Shift
from dagrow.data.augment.torchvision_policy import TorchvisionPolicy
from dagrow.errors import DataError
from dagrow.graph import Dag
from dagrow.layout import TensorLayout
from dagrow.spec.augment import AugmentSpec

AUGMENTATIONS: dict[str, type[Augmentation]] = {  # by the field of AugmentSpec that asks for it, in their order
    "flip": Flip,
    "shift": Shift,
    "torchvision": TorchvisionPolicy,
}


@dataclass(frozen=True)
class Augmenter:
    """Changes the maps among the inputs of a batch.

    Attributes:
        kinds: in their order.
        axes: of height and width, per input; None for those that are no maps.
    """

    kinds: tuple[Augmentation, ...]
    axes: tuple[tuple[int, int] | None, ...]

    def __call__(self, inputs: Sequence[Tensor], place: Place) -> tuple[Tensor, ...]:
        """Raw inputs, each map changed in the same way in every input."""
        found = []
        for x, axes in zip(inputs, self.axes, strict=True):
            if axes is not None:
                for number, kind in enumerate(self.kinds):
                    x = kind(x, axes, place, number)
            found.append(x)
        return tuple(found)


def augmenter_of(spec: AugmentSpec | None, dag: Dag) -> Augmenter | None:
    """What a run asks for; None if nothing.

    Raises:
        DataError: if no input is a map, or the targets would have to be changed too.
    """
    if spec is None:
        return None
    kinds = tuple(made for name, kind in AUGMENTATIONS.items() if (made := kind.of(getattr(spec, name))) is not None)
    if not kinds:
        return None
    axes = tuple(_axes(entry.values) for entry in dag.spec.inputs.values())
    if not any(axes):
        raise DataError("'augment' changes maps [channels, height, width], and no input is one")
    if any(dag.output(name).positions for name in dag.spec.outputs):
        raise DataError("'augment' changes inputs alone, and an output has a target for each pixel")
    return Augmenter(kinds, axes)


def _axes(layout: TensorLayout) -> tuple[int, int] | None:
    axes = layout.position_axes
    return (axes[0], axes[1]) if len(axes) == 2 else None
