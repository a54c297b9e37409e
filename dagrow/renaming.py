"""How names of earlier versions are taken: with one line of warning, until 0.2."""

from __future__ import annotations

import functools
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


def renamed_keywords(**names: str) -> Callable[[F], F]:
    """A function that takes old names of arguments too: ``renamed_keywords(old="new")``."""

    def decorate(function: F) -> F:
        label = function.__qualname__.removesuffix(".__init__").rpartition(".")[2]

        @functools.wraps(function)
        def call(*args: Any, **given: Any) -> Any:
            for old in names.keys() & given.keys():
                warn_renamed(f"{label}({old}=...)", f"{names[old]}=")
                given[names[old]] = given.pop(old)
            return function(*args, **given)

        return call  # type: ignore[return-value]

    return decorate


def renamed_arguments(**names: str) -> Callable[[C], C]:
    """A class whose constructor does."""

    def decorate(cls: C) -> C:
        cls.__init__ = renamed_keywords(**names)(cls.__init__)  # type: ignore[misc]
        return cls

    return decorate
