"""What the loop over a module of one's own is to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from dagrow.errors import GrowthError


@dataclass(frozen=True)
class LoopSettings:
    """See `dagrow.grow_module`; ``until`` is the last epoch after which the module grows."""

    epochs: int
    every: int
    until: int
    neurons: int
    silent: bool
    samples: int
    spaces: tuple[str, ...] | None
    method: str
    multiple_of: int
    max_parameters: int | None
    seed: int

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.every < 1:
            raise GrowthError(f"epochs and every are whole numbers from 1 on, not {self.epochs!r} and {self.every!r}")

    def grows_after(self, epoch: int, parameters: int) -> bool:
        """Whether a growth step is due.

        Args:
            epoch: that is done, from 1.
            parameters: of the module.
        """
        full = self.max_parameters is not None and parameters >= self.max_parameters
        return epoch <= self.until and epoch % self.every == 0 and not full

    def proposal(self, epoch: int) -> dict[str, Any]:
        """Options of the proposal after an epoch."""
        return {
            "spaces": self.spaces, "method": self.method, "neurons": self.neurons, "multiple_of": self.multiple_of,
            "seed": self.seed + epoch,
        }  # fmt: skip

    @property
    def plain(self) -> dict[str, Any]:
        """As JSON has them."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
