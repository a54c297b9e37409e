"""A regressor for scikit-learn whose network grows."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin

from dagrow.integrations.estimator import GrowingEstimator
from dagrow.integrations.sample_weights import weighted_rows, weighted_squared_error


class GrowingRegressor(RegressorMixin, GrowingEstimator):  # type: ignore[misc]
    """A multilayer perceptron for one number or several, which starts small and grows while it is fitted.

    Its parameters are those of `GrowingClassifier`, without ``class_weight``. Targets are standardized for training,
    each by itself; predictions are in the user's units.

    Attributes:
        network_: the grown network, a `torch.fx.GraphModule` in float64 that reads standardized values and puts out
            standardized targets.
        graph_: its graph.
        preprocessing_: what is done to values before it reads them.
        target_mean_: ``[targets]``.
        target_scale_: ``[targets]``, their deviation; 1 where there is none.
        journal_: the events of the run.
        n_iter_: units of training.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Grows a network.

        Args:
            X: ``[samples, features]``, numbers without gaps; or a table of pandas, polars or pyarrow, in which words,
                dates and gaps become features as those of a ``table`` in a run file.
            y: ``[samples]`` or ``[samples, targets]``.
            sample_weight: ``[samples]``; whole numbers count as repetitions of their row, 0 leaves it out.
        """
        x, y, weights = self._checked(X, y, sample_weight, multi_output=True, y_numeric=True)
        rows = weighted_rows(x, y.astype(np.float64), weights)
        targets = rows.y.reshape(len(rows.y), -1)
        self._single = y.ndim == 1
        self.target_mean_ = np.average(targets, axis=0, weights=rows.weights)
        deviation = np.sqrt(np.average((targets - self.target_mean_) ** 2, axis=0, weights=rows.weights))
        self.target_scale_ = np.where(deviation > 0, deviation, 1.0)
        scaled = ((targets - self.target_mean_) / self.target_scale_).astype(np.float32)
        return self._grow(rows.x, scaled, scaled.shape[1], "mse", weighted_squared_error, rows.weights)

    def predict(self, X: Any) -> np.ndarray:
        """Numbers, in the shape of the targets."""
        outputs = self._outputs(X) * self.target_scale_ + self.target_mean_
        found: np.ndarray = outputs[:, 0] if self._single else outputs
        return found

    def __sklearn_tags__(self) -> Any:
        """Several targets are taken."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
