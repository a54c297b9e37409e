"""A person's own module: captured by torch.export, its channel spaces found by unification of dimensions."""

from dagrow.capture.analysis import Analysis, named_tensors
from dagrow.capture.channel_spaces import Member, Space
from dagrow.capture.dims import Dim, atoms
from dagrow.capture.exported import as_call, batch_size, export, with_batch
from dagrow.capture.module import CapturedModule, from_module, spaces
from dagrow.capture.places import Places, extent, new_extent, places
from dagrow.capture.program import Program, run_node
from dagrow.capture.rules.context import concrete, op_name, owner_path
from dagrow.capture.values import Normalisation, Role, Source, Use, Value

__all__ = [
    "Analysis",
    "CapturedModule",
    "Dim",
    "Member",
    "Normalisation",
    "Places",
    "Program",
    "Role",
    "Source",
    "Space",
    "Use",
    "Value",
    "as_call",
    "atoms",
    "batch_size",
    "concrete",
    "export",
    "extent",
    "from_module",
    "named_tensors",
    "new_extent",
    "op_name",
    "owner_path",
    "places",
    "run_node",
    "spaces",
    "with_batch",
]
