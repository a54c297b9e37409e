"""Files that people exchange: one way to open them, one to write them, checksums of what was written."""

from dagrow.files.folders import first_link
from dagrow.files.reading import check_file, machine_memory, open_file, read_file
from dagrow.files.sums import SUMS, check_sums, sha256, write_sums
from dagrow.files.writing import append_to, replace_file, sync_folder, write_new_file

__all__ = [
    "SUMS",
    "append_to",
    "check_file",
    "check_sums",
    "first_link",
    "machine_memory",
    "open_file",
    "read_file",
    "replace_file",
    "sha256",
    "sync_folder",
    "write_new_file",
    "write_sums",
]
