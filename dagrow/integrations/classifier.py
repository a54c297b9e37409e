"""A classifier for scikit-learn whose network grows."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from dagrow.integrations.estimator import ClassWeight, GrowingEstimator
from dagrow.integrations.sample_weights import weighted_cross_entropy, weighted_rows


class GrowingClassifier(ClassifierMixin, GrowingEstimator):  # type: ignore[misc]
    """A multilayer perceptron that starts small and grows while it is fitted.

    It grows by validation: it trains until a validation loss stalls, grows, stops when growth no longer helps, and
    takes up the best network again for a final training on all samples. The answer depends on the set of rows and on
    ``random_state``, not on the order of the rows.

    Args:
        hidden_layers: of the first network.
        width: units of each of them at the start.
        activation: of the hidden units, as in run files.
        graph: another first network, as in run files; its input must be a vector of the features, its only output a
            feature per class.
        max_parameters: the network never has more.
        growth_steps: rounds of growth at most.
        max_epochs: units of training at most; None for no limit.
        max_seconds: since the beginning of the fit, looked at after each unit; None for no limit.
        validation_fraction: share of the samples kept back to judge by until the final training.
        standardize: shift and scale each feature to mean 0 and deviation 1; done by `predict` too.
        training: further entries of the ``training`` section of a run file.
        growth: further entries of the ``growth`` section.
        class_weight: weights of the classes, ``balanced`` or by class; they multiply ``sample_weight``.
        random_state: a number, a generator of numpy, or None.
        device: where to train, as torch names it.
        verbose: prints the growth steps.

    Attributes:
        classes_: labels, in order.
        network_: the grown network, a `torch.fx.GraphModule` in float64 that reads standardized values; None where
            there was one class alone.
        graph_: its graph.
        preprocessing_: what is done to values before it reads them.
        journal_: the events of the run.
        n_iter_: units of training.
    """

    def __init__(
        self,
        *,
        hidden_layers: int = 1,
        width: int = 8,
        activation: str = "relu",
        graph: Any = None,
        max_parameters: int = 20_000,
        growth_steps: int = 20,
        max_epochs: int | None = None,
        max_seconds: float | None = None,
        validation_fraction: float | None = 0.2,
        standardize: bool = True,
        training: Any = None,
        growth: Any = None,
        class_weight: ClassWeight = None,
        random_state: Any = None,
        device: str = "cpu",
        verbose: bool = False,
    ) -> None:
        super().__init__(
            hidden_layers=hidden_layers,
            width=width,
            activation=activation,
            graph=graph,
            max_parameters=max_parameters,
            growth_steps=growth_steps,
            max_epochs=max_epochs,
            max_seconds=max_seconds,
            validation_fraction=validation_fraction,
            standardize=standardize,
            training=training,
            growth=growth,
            random_state=random_state,
            device=device,
            verbose=verbose,
        )
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Grows a network.

        Args:
            X: ``[samples, features]``, numbers without gaps; or a table of pandas, polars or pyarrow, in which words,
                dates and gaps become features as those of a ``table`` in a run file.
            y: ``[samples]``, labels of any kind.
            sample_weight: ``[samples]``; whole numbers count as repetitions of their row, 0 leaves it out.
        """
        x, y, weights = self._checked(X, y, sample_weight)
        check_classification_targets(y)
        self.classes_ = np.unique(y if weights is None else y[weights > 0])
        if self.class_weight is not None:
            by_class = compute_sample_weight(self.class_weight, y)
            weights = by_class if weights is None else weights * by_class
        if weights is not None:
            x, y, weights = x[weights > 0], y[weights > 0], weights[weights > 0]
        rows = weighted_rows(x, np.searchsorted(self.classes_, y), weights)
        if len(self.classes_) == 1:
            self.network_, self.n_iter_ = None, 1
            return self
        return self._grow(rows.x, rows.y, len(self.classes_), "cross_entropy", weighted_cross_entropy, rows.weights)

    def decision_function(self, X: Any) -> np.ndarray:
        """Logits ``[samples, classes]``; of two classes, ``[samples]``: that of the second less that of the first."""
        outputs = self._logits(X)
        return outputs[:, 1] - outputs[:, 0] if outputs.shape[1] == 2 else outputs

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities ``[samples, classes]``, in the order of ``classes_``."""
        outputs = self._logits(X)
        powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        found: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
        return found

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest label of each sample."""
        labels = self._logits(X).argmax(axis=1)
        found: np.ndarray = self.classes_[labels]
        return found

    def _logits(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        if self.network_ is None:
            return np.zeros((len(self._raw(X)), 1))
        return self._outputs(X)
