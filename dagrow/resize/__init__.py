"""Growth of a person's own module in place: write-back of tensors and sizes, the check that the function is kept."""

from dagrow.resize.attention import with_plain_attention
from dagrow.resize.kept import modes_and_buffers_kept, outputs_of
from dagrow.resize.saved import class_name, module_files, save_module
from dagrow.resize.start import Start
from dagrow.resize.tensors import Replacement
from dagrow.resize.widen import Widened, rounded_count, widen

__all__ = [
    "Replacement",
    "Start",
    "Widened",
    "class_name",
    "modes_and_buffers_kept",
    "module_files",
    "outputs_of",
    "rounded_count",
    "save_module",
    "widen",
    "with_plain_attention",
]
