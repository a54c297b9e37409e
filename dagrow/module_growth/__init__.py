"""Growth of a module of one's own: what each channel space would gain, and the loop that trains and grows."""

from dagrow.module_growth.candidate import ModulePlan, SpaceCandidate, to_insert
from dagrow.module_growth.dispatch import takes_modules
from dagrow.module_growth.journal_entries import GrowthRecord
from dagrow.module_growth.loop import GrownModule, grow_module
from dagrow.module_growth.propose import apply_to_module, propose_for_module, spot_module
from dagrow.module_growth.updates import LayerUpdate

__all__ = [
    "GrownModule",
    "GrowthRecord",
    "LayerUpdate",
    "ModulePlan",
    "SpaceCandidate",
    "apply_to_module",
    "grow_module",
    "propose_for_module",
    "spot_module",
    "takes_modules",
    "to_insert",
]
