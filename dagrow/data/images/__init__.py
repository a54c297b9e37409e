"""Folders of images: found, decoded, and kept in memory or read anew for each batch."""

from dagrow.data.images.image_reader import ImageReader
from dagrow.data.images.source import Images

__all__ = ["ImageReader", "Images"]
