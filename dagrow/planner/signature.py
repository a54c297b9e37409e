"""The options of a proposal in the signature of the function that takes them, for `help` and completion."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from inspect import Parameter
from typing import Any, TypeVar

from dagrow.spec.proposal import ProposalOptions

F = TypeVar("F", bound=Callable[..., Any])


def shows_options(function: F) -> F:
    """Shows each field of `ProposalOptions`, with its default, in place of ``**fields``."""
    own = inspect.signature(function)
    kept = [each for each in own.parameters.values() if each.kind is not Parameter.VAR_KEYWORD]
    fields = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=field.default, annotation=field.annotation)
        for name, field in ProposalOptions.model_fields.items()
    ]
    function.__signature__ = own.replace(parameters=[*kept, *fields])  # type: ignore[attr-defined]
    return function
