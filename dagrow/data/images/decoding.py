"""Image files to arrays. The one place that imports Pillow: it is an extra."""

from __future__ import annotations

import importlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dagrow.errors import DataError
from dagrow.files import open_file
from dagrow.layout import Shape, TensorLayout

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
"""Of files that are taken for images."""

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_DEEP = ("I;16", "I;16B", "I;16L", "I;16N", "I")
"""Pillow's names for grey levels of 16 bits."""


_TURNED = (5, 6, 7, 8)
"""Values of Exif's orientation at which height and width change places."""
_ORIENTATION = 0x0112


class ImageSize(NamedTuple):
    """What an image is: pixels of height and width, and channels (1 for grey, 3, or 4 with opacity)."""

    height: int
    width: int
    channels: int


@dataclass(frozen=True)
class Form:
    """What every image is brought to.

    Attributes:
        channels: 1 for grey, 3 for red, green and blue, 4 with opacity.
        height: in pixels.
        width: likewise.
        channels_last: whether the channels are the last axis of an array.
        resize: whether an image may have another size, and is brought to this one.
        deep: whether grey levels have 16 bits.
    """

    channels: int
    height: int
    width: int
    channels_last: bool = False
    resize: bool = False
    deep: bool = False

    @classmethod
    def of(cls, layout: TensorLayout, *, resize: bool, deep: bool = False) -> Form:
        """That of an input of a graph.

        Raises:
            DataError: if it takes no images.
        """
        if len(layout.positions) != 2 or layout.channels not in _MODES:
            raise DataError(
                f"images need an input of shape [channels, height, width] with 1, 3 or 4 channels, not {list(layout)}"
            )
        if deep and layout.channels != 1:
            raise DataError(f"images of 16 bits have 1 channel, the input has {layout.channels}")
        height, width = layout.positions
        return cls(layout.channels, height, width, layout.order == "channels_last", resize, deep)

    @property
    def shape(self) -> Shape:
        """Of an array."""
        axes = (self.height, self.width)
        return (*axes, self.channels) if self.channels_last else (self.channels, *axes)

    @property
    def dtype(self) -> type[np.generic]:
        """Of an array: float32 holds 16 bits, for torch computes with few of its own 16-bit formats."""
        return np.float32 if self.deep else np.uint8


def pillow(module: str) -> Any:
    """A module of Pillow.

    Raises:
        DataError: if it is not installed.
    """
    try:
        return importlib.import_module(f"PIL.{module}")
    except ImportError as error:
        raise DataError("images need 'pillow': pip install dagrow[images]") from error


def is_deep(path: Path) -> bool:
    """Whether an image has grey levels of 16 bits.

    Raises:
        DataError: if it is none.
    """
    return bool(_opened(path, lambda image: image.mode in _DEEP))


def image_size(path: Path) -> ImageSize:
    """The size of an image, upright as its camera says; its pixels are not decoded.

    Raises:
        DataError: if it is none.
    """

    def read(image: Any) -> ImageSize:
        width, height = image.size
        if image.getexif().get(_ORIENTATION) in _TURNED:
            height, width = width, height
        grey = image.mode in ("1", "L", *_DEEP)
        return ImageSize(height, width, 1 if grey else 4 if image.mode == "RGBA" else 3)

    found: ImageSize = _opened(path, read)
    return found


def decode(path: Path, form: Form) -> np.ndarray:
    """An image as an array of this form, upright as its camera says.

    Raises:
        DataError: if it is none, or of another size or depth.
    """

    def read(image: Any) -> np.ndarray:
        if (image.mode in _DEEP) != form.deep:
            found, wanted = (16, 8) if image.mode in _DEEP else (8, 16)
            raise DataError(f"{path}: has {found} bits per pixel, the first image has {wanted}: bring all to one depth")
        image = pillow("ImageOps").exif_transpose(image)
        if image.size != (form.width, form.height):
            if not form.resize:
                raise DataError(
                    f"{path}: is {image.height} x {image.width} pixels, the input takes {form.height} x {form.width}; "
                    "'resize: true' brings images to that size"
                )
            image = image.resize((form.width, form.height), pillow("Image").Resampling.BILINEAR)
        array = np.asarray(image if form.deep else image.convert(_MODES[form.channels]), dtype=form.dtype)
        pixels = array.reshape(form.height, form.width, form.channels)
        return pixels if form.channels_last else pixels.transpose(2, 0, 1)

    found: np.ndarray = _opened(path, read)
    return found


def _opened(path: Path, then: Any) -> Any:
    library = pillow("Image")
    try:
        with warnings.catch_warnings(), open_file(path) as file:
            # A small file that says it is huge fills the memory.
            warnings.simplefilter("error", library.DecompressionBombWarning)
            with library.open(file) as image:
                return then(image)
    except (library.DecompressionBombWarning, library.DecompressionBombError) as error:
        raise DataError(f"{path}: has too many pixels ({error})") from error
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise DataError(f"{path}: is no image that can be read ({error})") from error
