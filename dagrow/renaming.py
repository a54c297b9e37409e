"""How names of earlier versions are taken: with one line of warning, until 0.2."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

C = TypeVar("C", bound=type)
F = TypeVar("F", bound=Callable[..., Any])


def warn_renamed(old: str, new: str, *, level: int = 3) -> None:
    """Says that a name was replaced.

    Args:
        old: what was written, with what it belongs to.
        new: what to write.
        level: of the caller that wrote it, as `warnings.warn` counts.
    """
    warnings.warn(f"{old} was renamed to {new}: the old name is read until 0.2", FutureWarning, stacklevel=level)


def renamed_arguments(**names: str) -> Callable[[C], C]:
    """A class whose constructor takes old names of arguments too: ``renamed_arguments(old="new")``."""

    def decorate(cls: C) -> C:
        make = cls.__init__  # type: ignore[misc]

        @functools.wraps(make)
        def init(self: Any, *args: Any, **given: Any) -> None:
            for old in names.keys() & given.keys():
                warn_renamed(f"{cls.__name__}({old}=...)", f"{names[old]}=")
                given[names[old]] = given.pop(old)
            make(self, *args, **given)

        init.__signature__ = inspect.signature(make)  # type: ignore[attr-defined]
        cls.__init__ = init  # type: ignore[misc]
        return cls

    return decorate


def renamed_keywords(**names: str) -> Callable[[F], F]:
    """A function that takes old names of arguments too: ``renamed_keywords(old="new")``."""

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def call(*args: Any, **given: Any) -> Any:
            for old in names.keys() & given.keys():
                warn_renamed(f"{function.__name__}({old}=...)", f"{names[old]}=")
                given[names[old]] = given.pop(old)
            return function(*args, **given)

        return call  # type: ignore[return-value]

    return decorate
