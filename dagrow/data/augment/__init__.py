"""Random changes of training maps, drawn anew for each batch."""

from dagrow.data.augment.augmenter import AUGMENTATIONS, Augmenter, augmenter_of

__all__ = ["AUGMENTATIONS", "Augmenter", "augmenter_of"]
