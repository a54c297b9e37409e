"""What a run file says of a folder of images: ``data: {images: ...}``."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from dagrow.spec.data import DataSourceSpec


class ImagesSpec(DataSourceSpec):
    """A folder that holds one folder of images per class, named after it."""

    name: ClassVar[str] = "images"
    path_fields: ClassVar[tuple[str, ...]] = ("path", "test")

    path: str = Field(description="the folder of the class folders")
    test: str | None = Field(default=None, description="a second one with the same classes, to be judged by")
    resize: bool = Field(default=False, description="bring every image to the height and width of the input")
    memory: float = Field(
        default=1.0,
        ge=0.0,
        le=1e6,
        allow_inf_nan=False,
        description="gigabytes of decoded images up to which they are kept; of more, each batch is decoded anew",
    )
