"""Several processes over ``torch.distributed``: gloo on the CPU, nccl on CUDA."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from dagrow.distributed.processes import Processes
from dagrow.errors import DagrowError, is_about_memory, listed
from dagrow.serialization import from_bytes, to_bytes

GO_ON = "--resume goes on from the last checkpoint, with any number of processes"


class ProcessError(DagrowError):
    """A process of the run is lost, or does not find what the others find."""


class Group(Processes):
    """The processes of the default group of ``torch.distributed``.

    Args:
        device: of the tensors that are exchanged: what the backend can handle.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.rank, self.count = dist.get_rank(), dist.get_world_size()

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        self._exchange(dist.all_reduce, tensors)

    def sums(self, *numbers: float) -> tuple[float, ...]:
        total = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        self.add_up([total])
        return tuple(total.tolist())

    def numbers(self, number: int) -> tuple[int, ...]:
        found = torch.zeros(self.count, dtype=torch.int64, device=self.device)
        found[self.rank] = number
        self.add_up([found])
        return tuple(found.tolist())

    def gather(self, rows: Tensor) -> Tensor:
        counts = self.numbers(len(rows))
        # All parts of one size, for backends that know no other.
        padded = rows.new_zeros((max(counts), *rows.shape[1:]))
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in counts]
        with self.listening():
            dist.all_gather(parts, padded)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    def exchange(self, value: Any) -> list[Any]:
        own = torch.frombuffer(bytearray(to_bytes(value)), dtype=torch.uint8).to(self.device)
        parts = torch.split(self.gather(own), list(self.numbers(len(own))))
        return [from_bytes(part.cpu().numpy().tobytes()) for part in parts]

    def agree(self, what: str, found: str) -> None:
        digest = hashlib.sha256(found.encode()).digest()
        hashes = self.numbers(int.from_bytes(digest[:8], "big") >> 1)
        others = [str(rank) for rank, value in enumerate(hashes) if value != hashes[0]]
        if others:
            raise ProcessError(
                f"process {listed(others)} found another {what} than process 0: start all on equal machines, "
                "with the same files and versions"
            )

    def copy_first(self, tensors: Sequence[Tensor]) -> None:
        self._exchange(lambda tensor: dist.broadcast(tensor, src=0), tensors)

    def copy_bytes(self, content: bytes = b"") -> bytes:
        size = self.numbers(len(content))[0]
        own = content if self.rank == 0 else bytes(size)
        tensor = torch.frombuffer(bytearray(own), dtype=torch.uint8).to(self.device)
        self.copy_first([tensor])
        return tensor.cpu().numpy().tobytes()

    def parallel(self, network: nn.Module) -> nn.Module:
        with self.listening():
            return DistributedDataParallel(network)

    def _exchange(self, collective: Callable[[Tensor], object], tensors: Sequence[Tensor]) -> None:
        """Calls a collective on each tensor in place, in whatever order its entries are in memory."""
        with self.listening():
            for tensor in tensors:
                plain = tensor.contiguous()
                collective(plain)
                if plain is not tensor:
                    tensor.copy_(plain)

    @contextmanager
    def listening(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            if is_about_memory(error):
                raise
            # Without the place in torch's sources and without its advice.
            said = re.sub(r"^\[\S+:\d+\] ", "", str(error).strip()).splitlines()[0].split(". ")[0]
            lost = f"process {self.rank} of {self.count} ends: another one is lost or has not answered in time"
            raise ProcessError(f"{lost} ({said}); {GO_ON}") from error
