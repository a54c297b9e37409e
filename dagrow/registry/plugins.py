"""What installed distributions add to the registries: modules that register it, named by their entry points.

The group is ``dagrow.plugins``. An entry point names a module, which registers when it is imported, or a function in
a module, which is called without arguments. The command line loads all of them before a command; in Python they are
loaded before a name counts as unknown, or by `load_plugins`.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from dagrow.errors import printable
from dagrow.registry.table import on_unknown_name, rollback_on_error

GROUP = "dagrow.plugins"

_BROKEN: list[str] | None = None
"""What was said of plugins that could not be loaded; None before they are."""


def load_plugins() -> tuple[str, ...]:
    """Loads all plugins, once per process; nothing of a plugin that fails stays registered.

    Returns:
        One sentence for each that could not be loaded: which, of what distribution, and why.
    """
    global _BROKEN
    if _BROKEN is None:
        # Set before the first is imported: a plugin may ask for names itself.
        _BROKEN = []
        try:
            points = sorted(entry_points(group=GROUP), key=_order)
        except Exception as error:
            # The metadata of any distribution may be damaged.
            points, _BROKEN = [], [f"plugins cannot be listed ({_reason(error)})"]
        for point in points:
            if sentence := _loaded(point):
                _BROKEN.append(sentence)
    return tuple(_BROKEN)


def plugins_are_loaded() -> bool:
    """Whether they are, or have been tried."""
    return _BROKEN is not None


def _loaded(point: EntryPoint) -> str:
    """Loads one; why it could not be, else the empty string."""
    try:
        with rollback_on_error():
            found = point.load()
            if point.attr:
                found()
    # Whatever a stranger's module does at its import, other commands go on.
    except (Exception, SystemExit) as error:
        return f"plugin {_title(point)} is not loaded ({_reason(error)})"
    return ""


def _reason(error: BaseException) -> str:
    text = printable(" ".join(str(error).split()))
    return f"{type(error).__name__}{': ' if text else ''}{text:.200}"


def _title(point: EntryPoint) -> str:
    owner = f" of {point.dist.name} {point.dist.version}" if point.dist is not None else ""
    return f"'{point.name}'{owner}"


def _order(point: EntryPoint) -> tuple[str, str]:
    return (str(point.dist.name) if point.dist is not None else "", point.name)


on_unknown_name(load_plugins)
