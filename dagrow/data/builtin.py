"""The data sets that come inside scikit-learn: nothing is downloaded."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from dagrow.data.raw import Arrays, Raw, to_tensor
from dagrow.errors import DataError, did_you_mean, listed
from dagrow.graph import Dag
from dagrow.objectives import Loss
from dagrow.spec.run import DataSpec


@dataclass(frozen=True)
class Bundled:
    """One data set.

    Attributes:
        loader: function of ``sklearn.datasets``.
        divisor: what all inputs are divided by.
    """

    loader: str
    divisor: float = 1.0


DATASETS: dict[str, Bundled] = {
    "digits": Bundled("load_digits", divisor=16.0),  # grey levels 0..16
    "wine": Bundled("load_wine"),
    "breast_cancer": Bundled("load_breast_cancer"),
    "iris": Bundled("load_iris"),
    "diabetes": Bundled("load_diabetes"),
}


def read_builtin(spec: DataSpec, dag: Dag, loss: Loss, seed: int = 0) -> Raw:
    """Reads the data set that ``spec.dataset`` names."""
    name = str(spec.dataset)
    if name not in DATASETS:
        raise DataError(f"no such data set{did_you_mean(name, DATASETS)}; there are {listed(DATASETS)}")
    # Importing scikit-learn takes a second, which runs on other data need not wait for.
    loader = getattr(importlib.import_module("sklearn.datasets"), DATASETS[name].loader)
    found = loader()
    arrays = Arrays((to_tensor(found["data"], "x"),), (to_tensor(found["target"], "y"),))
    # A regression on labels has no classes.
    classes = found.get("target_names", ()) if loss.correct is not None else ()
    columns = tuple(map(str, found["feature_names"]))
    return Raw(arrays, classes=tuple(map(str, classes)), columns=columns, divisor=DATASETS[name].divisor)
