"""``dagrow.lightning.GrowthCallback``: a dagrow network inside a LightningModule grows between epochs."""

from __future__ import annotations

from dagrow.integrations.lightning_callback import GrowthCallback

__all__ = ["GrowthCallback"]
