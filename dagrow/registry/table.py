"""A table of what can be chosen by name. Who makes the entries fills it; who takes a name asks it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any, TypeVar

from dagrow.errors import DagrowError, did_you_mean, listed
from dagrow.renaming import warn_renamed

Entry = TypeVar("Entry")

_TABLES: dict[str, Registry[Any]] = {}
_LOADERS: list[Callable[[], Iterable[str]]] = []


class Registry(MutableMapping[str, Entry]):
    """The entries of one kind by name, in the order of registration.

    An unknown name is looked for once more after the plugins are loaded. `add` refuses a name that is taken; setting
    an item replaces the entry, for experiments.

    Args:
        what: an entry is, in words for messages: ``"loss"``. No two registries say the same.
        entries: those that are built in.
        error: class of the error for an unknown name.
        reserved: names that no entry may have, since they mean something else.
    """

    def __init__(
        self,
        what: str,
        entries: Mapping[str, Entry] | None = None,
        error: type[DagrowError] = DagrowError,
        reserved: tuple[str, ...] = (),
    ) -> None:
        if what in _TABLES:
            raise ValueError(f"there is a registry of '{what}' already")
        self.what, self.error, self.reserved = what, error, reserved
        self._entries: dict[str, Entry] = dict(entries or {})
        self._renamed: dict[str, str] = {}
        _TABLES[what] = self

    def add(self, name: str, entry: Entry) -> Entry:
        """Registers an entry; the same one may be registered again.

        Raises:
            DagrowError: if the name is no text, or belongs to another entry.
        """
        if not isinstance(name, str) or not name:
            raise DagrowError(f"the name of {_a(self.what)} is a text, not {name!r}")
        taken = name in self.reserved or name in self._entries
        if taken and (name in self.reserved or self._entries[name] != entry):
            raise DagrowError(f"{_a(self.what)} named '{name}' is registered already")
        self._entries[name] = entry
        return entry

    def rename(self, **names: str) -> None:
        """Has names of earlier versions stand for those of today: ``rename(old="new")``. They are not listed."""
        self._renamed.update(names)

    def current(self, name: str) -> str:
        """The name of today; any other than one of an earlier version is handed back.

        Warns:
            FutureWarning: if it is one of those.
        """
        if name in self._entries or name not in self._renamed:
            return name
        new = self._renamed[name]
        warn_renamed(f"{self.what} '{name}'", f"'{new}'")
        return new

    def find(self, name: str) -> Entry:
        """The entry of that name.

        Raises:
            DagrowError: of the registry's class, with the nearest name and all that are allowed, if there is none.
        """
        if name not in self:
            raise self.error(unknown(self.what, name, self))
        return self._entries[name if name in self._entries else self._renamed[name]]

    def __getitem__(self, name: str) -> Entry:
        if name not in self._entries and name not in self._renamed:
            load_late_entries()
        return self._entries[self.current(name)]

    def __setitem__(self, name: str, entry: Entry) -> None:
        self._entries[name] = entry

    def __delitem__(self, name: str) -> None:
        del self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        if name not in self._entries and name not in self._renamed:
            load_late_entries()
        return name in self._entries or name in self._renamed

    def __repr__(self) -> str:
        return f"Registry({self.what!r}: {listed(self)})"


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def registry(what: str) -> Registry[Any]:
    """The registry of that name, for those who stand below the one that fills it."""
    return _TABLES[what]


def registries() -> dict[str, Registry[Any]]:
    """All registries by what an entry is."""
    return dict(_TABLES)


def unknown(what: str, name: object, allowed: Iterable[str]) -> str:
    """The message for a name that is none of those allowed, with what may be missing because a plugin is broken."""
    names = list(allowed)
    near = did_you_mean(name, names) if isinstance(name, str) else ""
    broken = "".join(f"; {sentence}" for sentence in load_late_entries())
    return f"unknown {what} {name!r}{near}; allowed: {listed(names)}{broken}"


@contextmanager
def rollback_on_error() -> Iterator[Callable[[], None]]:
    """All registries stay as they are now, if the block fails or calls what it is given."""
    before = {what: (dict(table._entries), dict(table._renamed)) for what, table in _TABLES.items()}

    def restore() -> None:
        for what, (entries, renamed) in before.items():
            _TABLES[what]._entries, _TABLES[what]._renamed = dict(entries), dict(renamed)

    try:
        yield restore
    except BaseException:
        restore()
        raise


def on_unknown_name(load: Callable[[], Iterable[str]]) -> None:
    """Has a function called before a name counts as unknown; it gives sentences about what it could not load."""
    _LOADERS.append(load)


def load_late_entries() -> list[str]:
    """Loads what comes late; sentences about what could not be loaded."""
    return [sentence for load in _LOADERS for sentence in load()]
