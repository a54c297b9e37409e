"""What the estimators for scikit-learn share: parameters, the run, and the network that it hands back."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from dagrow.build import Network
from dagrow.data.frames import is_mixed
from dagrow.growth import grow
from dagrow.integrations.limits import Limits
from dagrow.integrations.mixed_columns import MixedColumns
from dagrow.integrations.sample_weights import Loss, packed
from dagrow.report import PlainLines
from dagrow.spec import GraphSpec

_BATCH = 4_096


class GrowingEstimator(BaseEstimator):  # type: ignore[misc]
    """Base of `GrowingClassifier` and `GrowingRegressor`."""

    def __init__(
        self,
        *,
        hidden_layers: int = 1,
        width: int = 8,
        activation: str = "relu",
        graph: GraphSpec | Mapping[str, Any] | None = None,
        max_parameters: int = 20_000,
        growth_steps: int = 20,
        max_epochs: int | None = None,
        max_seconds: float | None = None,
        validation_fraction: float | None = 0.2,
        standardize: bool = True,
        training: Mapping[str, Any] | None = None,
        growth: Mapping[str, Any] | None = None,
        random_state: Any = None,
        device: str = "cpu",
        verbose: bool = False,
    ) -> None:
        self.hidden_layers = hidden_layers
        self.width = width
        self.activation = activation
        self.graph = graph
        self.max_parameters = max_parameters
        self.growth_steps = growth_steps
        self.max_epochs = max_epochs
        self.max_seconds = max_seconds
        self.validation_fraction = validation_fraction
        self.standardize = standardize
        self.training = training
        self.growth = growth
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    def _checked(self, X: Any, y: Any, weights: Any, **checks: bool) -> Checked:
        """Samples as scikit-learn checks them.

        Args:
            X: numbers, or a table of mixed columns.
            y: targets.
            weights: of the samples; None where all count the same.
            checks: of the targets, see scikit-learn's ``check_X_y``.
        """
        if not is_mixed(X):
            self._columns: MixedColumns | None = None
            X, y = validate_data(self, X, y, dtype=np.float32, **checks)
            return Checked(X, y, _weights(weights, X))
        y = validate_data(self, "no_validation", y, **checks)
        validate_data(self, X, skip_check_array=True)
        check_consistent_length(X, y)
        found = _weights(weights, y)
        rows = np.arange(len(y)) if found is None else np.flatnonzero(found > 0)
        self._columns, raw = MixedColumns.fit(X, rows, standardize=self.standardize)
        return Checked(raw, y, found)

    def _grow(
        self, x: np.ndarray, targets: np.ndarray, outputs: int, loss: str, weighted: Loss, weights: np.ndarray | None
    ) -> Self:
        """The run; what it hands back is kept.

        Args:
            x: ``[samples, features]``, or raw values of mixed columns.
            targets: of the loss.
            outputs: features of the output.
            loss: the name of the one without weights.
            weighted: the same with weights.
            weights: ``[samples]``; None where all samples count the same.
        """
        features = x if self._columns is None else self._columns.features(x)
        y = torch.from_numpy(targets) if weights is None else packed(targets, weights)
        samples = (torch.from_numpy(features), y)
        run = {
            "graph": _graph(features.shape[1], self.hidden_layers, self.width, self.activation, outputs)
            if self.graph is None
            else self.graph,
            "data": {"in_memory": True, "standardize": self.standardize and self._columns is None},
            "training": {
                "loss": loss if weights is None else "custom",
                "validation_fraction": self.validation_fraction,
            },
            "growth": {"budget": {"parameters": self.max_parameters, "steps": self.growth_steps}},
            "seed": int(check_random_state(self.random_state).randint(2**31 - 1)),
        }
        result = grow(
            run,
            train=samples,
            # The score of the samples themselves: nothing is kept back for testing.
            test=samples,
            loss=None if weights is None else weighted,
            training=self.training,
            growth=self.growth,
            callbacks=[Limits(self.max_epochs, self.max_seconds)],
            write=False,
            device=self.device,
            reporter=PlainLines() if self.verbose else None,
        )
        assert result.preprocessing is not None
        # Answers in float64 do not depend on how many samples are asked about at a time.
        self.network_: Network | None = result.model.double().cpu()
        own = result.preprocessing
        self.preprocessing_ = own if self._columns is None else self._columns.over(own)
        self.journal_ = result.events
        self.n_iter_ = sum(event["event"] == "epoch" for event in result.events)
        self.graph_ = result.model.spec
        return self

    @torch.no_grad()
    def _outputs(self, X: Any) -> np.ndarray:
        """Outputs of the network, ``[samples, features]`` in float64."""
        check_is_fitted(self)
        x = self._raw(X)
        parts = [self._part(x[start : start + _BATCH]) for start in range(0, len(x), _BATCH)]
        found: np.ndarray = np.concatenate(parts)
        return found

    def _raw(self, X: Any) -> torch.Tensor:
        """Raw values of samples like those that it was fitted on."""
        if self._columns is None:
            return torch.from_numpy(validate_data(self, X, reset=False, dtype=np.float32))
        validate_data(self, X, reset=False, skip_check_array=True)
        return self._columns.raw(X)

    def _part(self, x: torch.Tensor) -> np.ndarray:
        (read,) = self.preprocessing_(x)
        assert self.network_ is not None
        found: np.ndarray = self.network_(read.double()).numpy()
        return found


class Checked(NamedTuple):
    """Samples that were looked at.

    Attributes:
        x: ``[samples, features]``, or raw values of mixed columns.
        y: ``[samples]`` or ``[samples, targets]``.
        weights: ``[samples]``; None where all count the same.
    """

    x: np.ndarray
    y: np.ndarray
    weights: np.ndarray | None


def _weights(given: Any, samples: np.ndarray) -> np.ndarray | None:
    return None if given is None else _check_sample_weight(given, samples, ensure_non_negative=True)


def _graph(features: int, layers: int, width: int, activation: str, outputs: int) -> dict[str, Any]:
    """A multilayer perceptron."""
    hidden = {f"h{number}": {"size": width, "activation": activation} for number in range(1, layers + 1)}
    names = ["x", *hidden, "y"]
    return {
        "inputs": {"x": {"shape": [features]}},
        "nodes": {**hidden, "y": {"size": outputs}},
        "edges": {f"{source} -> {target}": "linear" for source, target in pairwise(names)},
        "outputs": "y",
    }


ClassWeight = Mapping[Any, float] | Literal["balanced"] | None
