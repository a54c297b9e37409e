"""What tells two states of a network apart, from the bits of its values."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from dagrow.build.intact import declared_layers
from dagrow.build.module import Network


@dataclass(frozen=True)
class WeightsFingerprint:
    """A checksum of the values by which a network computes; copies have the same, on any device.

    Attributes:
        names: of the parameters and buffers that count: those of the graph's layers. Running statistics do not where
            their layer is in train mode: there it looks at the batch.
        checksum: CRC-32 of their bits, one after the other.
    """

    names: tuple[str, ...]
    checksum: int

    @classmethod
    def of(cls, network: Network) -> WeightsFingerprint:
        """The fingerprint of a network, in the mode that it is in."""
        names: list[str] = []
        for path in declared_layers(network.spec):
            layer = network.get_submodule(path)
            tables = [layer.named_parameters()] if layer.training else [layer.named_parameters(), layer.named_buffers()]
            names += [f"{path}.{name}" for table in tables for name, _ in table]
        return cls(tuple(names), _checksum(_tensors(network, names)))

    def fits(self, network: Network) -> bool:
        """Whether a network has these values."""
        here = {*(n for n, _ in network.named_parameters()), *(n for n, _ in network.named_buffers())}
        return here.issuperset(self.names) and _checksum(_tensors(network, self.names)) == self.checksum


def _tensors(network: Network, names: Iterable[str]) -> Iterable[Tensor]:
    found = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    return (found[name].detach() for name in names)


def _checksum(tensors: Iterable[Tensor]) -> int:
    value = 0
    for tensor in tensors:
        # In the order of the indices, whatever the memory format.
        bits = tensor.cpu().contiguous().reshape(-1).view(torch.uint8)
        value = zlib.crc32(bits.numpy().data, value)
    return value
