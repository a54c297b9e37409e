"""A folder of class folders as a source of data: ``data: {images: ...}``."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch

from dagrow.data.data_source import DataSource, ReadSettings
from dagrow.data.images.decoding import Form, is_deep
from dagrow.data.images.image_files import ImageFiles, images_in
from dagrow.data.images.image_reader import ImageReader
from dagrow.data.raw import Arrays, Raw
from dagrow.data.stored import StoredRows
from dagrow.errors import DataError, listed
from dagrow.graph import Dag
from dagrow.objectives import Loss
from dagrow.spec.image_source import ImagesSpec

_GIGABYTE = 1e9
_LEVELS = 65_535.0


def read_images(told: ImagesSpec, dag: Dag, loss: Loss, settings: ReadSettings) -> Raw:
    """Finds the images; the folder that each is in is its class.

    Raises:
        DataError: if there are none, or the graph takes none.
    """
    if loss.takes == "numbers" or len(dag.spec.inputs) != 1:
        raise DataError("class folders need one input and a loss of classes (cross_entropy)")
    (layout,) = (entry.values for entry in dag.spec.inputs.values())
    classes, paths, labels, others = class_folders(Path(told.path))
    form = Form.of(layout, resize=told.resize, deep=is_deep(paths[0]))
    most = told.memory * _GIGABYTE

    def arrays(files: list[Path], numbers: list[int]) -> Arrays:
        return Arrays((StoredRows(ImageFiles(files, form, most)),), (torch.tensor(numbers),))

    test = None
    if told.test is not None:
        _, files, numbers, more = class_folders(Path(told.test), classes)
        test, others = arrays(files, numbers), others + more
    notes = [
        f"{len(paths)} images of {len(classes)} classes ({listed(classes)}); "
        + ("levels of 16 bits are divided by 65535" if form.deep else "bytes are divided by 255")
        + (", then standardized" if settings.standardize is True else "")
    ]
    if others:
        notes.append(f"{others} files are left out: by their endings they are no images")
    train = arrays(paths, labels)
    if not ImageFiles(paths, form, most).settles:
        notes.append(f"decoded they are more than {told.memory:g} GB: each batch is decoded anew")
    return Raw(
        train,
        test,
        classes=classes,
        divisor=_LEVELS if form.deep else 1.0,
        reader=ImageReader(form.resize, form.deep, form.channels_last),
        notes=tuple(notes),
    )


class ClassFolders(NamedTuple):
    """Images in a folder of class folders.

    Attributes:
        classes: names of the folders that hold images, in order.
        paths: of the images, class by class.
        labels: the class of each, by number.
        others: how many files are no images, by their endings.
    """

    classes: tuple[str, ...]
    paths: list[Path]
    labels: list[int]
    others: int


def class_folders(folder: Path, known: tuple[str, ...] | None = None) -> ClassFolders:
    """Finds the images of each class.

    Args:
        folder: it holds a folder for each class.
        known: the classes, where they are given.

    Raises:
        DataError: if it cannot be read, holds fewer than two classes, or one that is not known.
    """
    _, others = images_in(folder)
    folders = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    by_class = {}
    for path in folders:
        images, more = images_in(path)
        others += more
        if images:
            by_class[path.name] = images
    if known is None and len(by_class) < 2:
        raise DataError(f"there are images in {len(by_class)} folders inside it; a folder for each class is needed")
    classes = known or tuple(by_class)
    if unknown := [name for name in by_class if name not in classes]:
        raise DataError(f"{folder}: the class '{unknown[0]}' is not one of training ({listed(classes)})")
    if not by_class:
        raise DataError(f"{folder}: there are no images in folders inside it")
    pairs = [(path, classes.index(name)) for name, images in by_class.items() for path in images]
    return ClassFolders(classes, [path for path, _ in pairs], [label for _, label in pairs], others)


class Images(ImagesSpec, DataSource):
    """A folder that holds one folder of images per class, named after it."""

    @property
    def title(self) -> str:
        """How messages call it."""
        return self.path

    def read(self, dag: Dag, loss: Loss, settings: ReadSettings) -> Raw:
        """See `read_images`."""
        return read_images(self, dag, loss, settings)
