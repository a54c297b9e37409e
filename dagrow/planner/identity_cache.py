"""What was found for some objects: for themselves, not for their equals."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

V = TypeVar("V")


class IdentityCache(Generic[V]):
    """Values by an object and further keys.

    The objects are held: the number by which Python tells objects apart is given to another one once they are gone.
    """

    def __init__(self) -> None:
        self._entries: dict[tuple[Hashable, ...], tuple[object, V]] = {}

    def get(self, owner: object, *keys: Hashable) -> V | None:
        """The value, if there is one."""
        found = self._entries.get((id(owner), *keys))
        return None if found is None else found[1]

    def put(self, value: V, owner: object, *keys: Hashable) -> None:
        """Keeps a value, in the place of one that is there."""
        self._entries[id(owner), *keys] = (owner, value)

    def drop(self, owners: Sequence[object]) -> list[V]:
        """Lets go of some objects; what was kept for them."""
        gone = {id(owner) for owner in owners}
        return [self._entries.pop(key)[1] for key in [key for key in self._entries if key[0] in gone]]
