"""What a comparison is: a run, and what varies over it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from dagrow.compare.controls import FROM_SCRATCH, GROWN, controls
from dagrow.methods import METHODS
from dagrow.registry import one_of
from dagrow.spec import FrozenDict, RunSpec
from dagrow.spec.graph import SpecFile
from dagrow.spec.growth import Schedule

Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.+-]{0,59}$")]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


def _all_different(value: Any) -> Any:
    entries = value if isinstance(value, (list, tuple)) else ()
    for index, entry in enumerate(entries):
        if entry in entries[:index]:
            raise PydanticCustomError("twice", "{entry} is given twice", {"entry": repr(entry)})
    return value


class ComparedRun(NamedTuple):
    """One way to run the base.

    Attributes:
        label: as tables name it: what varies, nothing else.
        changes: on top of the base, each ``key.path=value``.
        entries: of the file, where each of the changes was asked for.
    """

    label: str
    changes: tuple[str, ...]
    entries: tuple[tuple[str, ...], ...]


class CompareSpec(SpecFile):
    """A whole comparison file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$")] = "comparison"
    base: RunSpec = Field(description="the run that is varied: the path of a run file, or its sections")
    methods: Annotated[
        tuple[Annotated[str, one_of(METHODS)], ...], BeforeValidator(_all_different), Field(min_length=1)
    ] = Field(default=(), validate_default=False, description="growth methods; that of the base if left out")
    schedules: Annotated[tuple[Schedule, ...], BeforeValidator(_all_different), Field(min_length=1)] = Field(
        default=(), validate_default=False, description="when to grow; as in the base if left out"
    )
    settings: FrozenDict[Label, tuple[str, ...]] = Field(
        default=FrozenDict(), description="further changes by a label of their own, each as with --set"
    )
    controls: Annotated[
        tuple[Annotated[str, one_of(GROWN, FROM_SCRATCH, what="control")], ...], BeforeValidator(_all_different)
    ] = Field(
        default_factory=controls, description="what is run beside what was asked for; all that there are, if left out"
    )
    seeds: Annotated[tuple[Seed, ...], BeforeValidator(_all_different), Field(min_length=1)] = Field(
        default=(0, 1, 2), description="every variant is run with each of them"
    )

    def variants(self) -> Iterator[ComparedRun]:
        """Every method with every schedule and setting."""
        axes = [axis for axis in (self._methods(), self._schedules(), self._settings()) if axis]
        for parts in itertools.product(*axes):
            yield ComparedRun(
                ", ".join(part.label for part in parts) or self.base.growth.method,
                tuple(change for part in parts for change in part.changes),
                tuple(entry for part in parts for entry in part.entries),
            )

    def _methods(self) -> list[ComparedRun]:
        return [
            ComparedRun(method, (f"growth.method={method}",), (("methods", str(index)),))
            for index, method in enumerate(self.methods)
        ]

    def _schedules(self) -> list[ComparedRun]:
        return [
            ComparedRun(schedule, (f"growth.schedule={schedule}",), (("schedules", str(index)),))
            for index, schedule in enumerate(self.schedules)
        ]

    def _settings(self) -> list[ComparedRun]:
        return [
            ComparedRun(label, changes, tuple(("settings", label, str(index)) for index in range(len(changes))))
            for label, changes in self.settings.items()
        ]
