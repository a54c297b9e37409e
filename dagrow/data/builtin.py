"""The data sets that come inside scikit-learn: nothing is downloaded."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from dagrow.data.data_source import DataSource, ReadSettings
from dagrow.data.raw import Arrays, Raw, to_tensor
from dagrow.errors import DataError
from dagrow.graph import Dag
from dagrow.objectives import Loss
from dagrow.registry import Registry, one_of


@dataclass(frozen=True)
class Bundled:
    """One data set.

    Attributes:
        loader: function of ``sklearn.datasets``.
        divisor: what all inputs are divided by.
    """

    loader: str
    divisor: float = 1.0


DATASETS: Registry[Bundled] = Registry(
    "data set",
    {
        "digits": Bundled("load_digits", divisor=16.0),  # grey levels 0..16
        "wine": Bundled("load_wine"),
        "breast_cancer": Bundled("load_breast_cancer"),
        "iris": Bundled("load_iris"),
        "diabetes": Bundled("load_diabetes"),
    },
    error=DataError,
)


class BundledData(DataSource):
    """A data set that scikit-learn carries."""

    name: ClassVar[str] = "dataset"
    main_field: ClassVar[str] = "which"

    which: Annotated[str, one_of(DATASETS)] = Field(description="a data set that comes with scikit-learn, no download")

    @property
    def title(self) -> str:
        """How messages call it."""
        return f"data set '{self.which}'"

    def read(self, dag: Dag, loss: Loss, settings: ReadSettings) -> Raw:
        """All samples; it has no split of its own."""
        bundled = DATASETS[self.which]
        # Importing scikit-learn takes a second, which runs on other data need not wait for.
        loader = getattr(importlib.import_module("sklearn.datasets"), bundled.loader)
        found = loader()
        arrays = Arrays((to_tensor(found["data"], "x"),), (to_tensor(found["target"], "y"),))
        # A regression on labels has no classes.
        classes = found.get("target_names", ()) if loss.correct is not None else ()
        columns = tuple(map(str, found["feature_names"]))
        return Raw(arrays, classes=tuple(map(str, classes)), columns=columns, divisor=bundled.divisor)
