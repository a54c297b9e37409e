"""Folders of images: found, decoded, and kept in memory or read anew for each batch."""

from dagrow.data.images.decoding import ImageSize, image_size
from dagrow.data.images.image_reader import ImageReader
from dagrow.data.images.source import Images, class_folders

__all__ = ["ImageReader", "ImageSize", "Images", "class_folders", "image_size"]
