"""``dagrow.lightning``: a network inside a LightningModule grows between epochs, one of dagrow or one's own."""

from __future__ import annotations

from dagrow.integrations.lightning_callback import GrowthCallback, ModuleGrowthCallback

__all__ = ["GrowthCallback", "ModuleGrowthCallback"]
