"""What a source of samples is: the fields that a run file gives it, and how it is read. One file each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal, NamedTuple

from dagrow.data.raw import Raw
from dagrow.errors import DagrowError, listed
from dagrow.graph import Dag
from dagrow.objectives import Loss
from dagrow.registry import Registry
from dagrow.spec.data import SOURCES as KIND
from dagrow.spec.data import DataSourceSpec, DataSpec


class ReadSettings(NamedTuple):
    """What the section of a run file says beside its source.

    Attributes:
        seed: of the run, for sources that draw which samples are kept for testing.
        test_share: share of the samples for testing, where the source splits them itself.
        standardize: whether inputs are standardized, as the file says.
    """

    seed: int
    test_share: float
    standardize: Literal["auto"] | bool


class DataSource(DataSourceSpec, ABC):
    """A source of samples; its fields are checked by pydantic, see `DataSourceSpec`.

    Subclass it, say ``name``, declare the fields and `read`.
    """

    @abstractmethod
    def read(self, dag: Dag, loss: Loss, settings: ReadSettings) -> Raw:
        """Reads all samples; whether they fit the graph is checked, and bytes are scaled, by who calls it.

        Args:
            dag: the graph that is to learn them.
            loss: of the run: with ``loss.correct`` the targets are labels, else numbers.
            settings: what the section says beside the source.

        Raises:
            DataError: with what is wrong; messages name the source first.
        """


SOURCES: Registry[type[DataSource]] = Registry(KIND, reserved=("source", *DataSpec.own_fields()))


def register_source(source: type[DataSource]) -> type[DataSource]:
    """Adds a source of data under its ``name``, for run files read from then on. Usable as a decorator.

    Raises:
        DagrowError: if the name is taken by another class, or ``source`` is not a complete source.
    """
    if not (isinstance(source, type) and issubclass(source, DataSource)):
        raise DagrowError("register_source takes a subclass of dagrow.data.DataSource")
    name: Any = getattr(source, "name", None)
    if missing := sorted(source.__abstractmethods__):
        raise DagrowError(f"source of data '{name}' lacks {listed(missing)}")
    main = {source.main_field} - {""}
    for field in sorted(main.union(source.path_fields) - set(source.model_fields)):
        raise DagrowError(f"source of data '{name}' has no field '{field}', which its main_field or path_fields name")
    for field in source.beside():
        if field in SOURCES.reserved or field in list(SOURCES):
            raise DagrowError(f"field '{field}' of source of data '{name}' stands beside its name: choose another word")
    if any(name in other.beside() for other in SOURCES.values() if other is not source):
        raise DagrowError(f"'{name}' stands beside another source of data: choose another name")
    return SOURCES.add(name, source)
