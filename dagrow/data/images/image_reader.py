"""Images that a network is asked about: a file, or a folder of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from dagrow.data.file_reader import FileReader, Rows
from dagrow.data.images.decoding import SUFFIXES, Form
from dagrow.data.images.image_files import ImageFiles, images_in
from dagrow.data.stored import StoredRows
from dagrow.errors import DataError
from dagrow.layout import Shape, TensorLayout


@dataclass(frozen=True)
class ImageReader(FileReader):
    """Knows how images were brought to the input.

    Attributes:
        resize: whether they may have another size.
        deep: whether they have 16 bits.
        channels_last: whether the channels are the last axis.
    """

    kind: ClassVar[str] = "images"
    endings: ClassVar[tuple[str, ...]] = SUFFIXES

    resize: bool = False
    deep: bool = False
    channels_last: bool = False

    def takes(self, path: str) -> bool:
        """An image by its ending, or a folder."""
        return Path(path).suffix.lower() in self.endings or Path(path).is_dir()

    def read(self, path: str, shapes: tuple[Shape, ...]) -> Rows:
        """The images, named by their files; those of the folders in it where a folder holds none itself."""
        given = Path(path)
        paths = [given]
        if given.is_dir():
            paths, _ = images_in(given)
            if not paths:
                paths = [
                    image for folder in sorted(given.iterdir()) if folder.is_dir() for image in images_in(folder)[0]
                ]
            if not paths:
                raise DataError("there are no images in it")
        form = Form.of(
            TensorLayout.of(shapes[0], "channels_last" if self.channels_last else "channels_first"),
            resize=self.resize,
            deep=self.deep,
        )
        names = tuple(str(each.relative_to(given)) if given.is_dir() else each.name for each in paths)
        return Rows((StoredRows(ImageFiles(paths, form)),), names=names)

    def entry(self) -> dict[str, Any]:
        """Three truth values."""
        return {"resize": self.resize, "deep": self.deep, "channels_last": self.channels_last}

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any], shapes: tuple[Shape, ...]) -> ImageReader:
        """From what `entry` gave."""
        values = [entry[name] for name in ("resize", "deep", "channels_last")]
        if not all(isinstance(value, bool) for value in values) or len(shapes) != 1:
            raise TypeError("an input of images is told by three truth values")
        return cls(*values)
