"""What a trained network says of some samples, in the user's words and units."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from dagrow.data import Preprocessing
from dagrow.data.answer import Answer
from dagrow.errors import DataError


@dataclass(frozen=True, eq=False)
class Prediction:
    """The answers of one output.

    Attributes:
        name: of the column that was learned, or of the output.
        outputs: of the network, ``[samples, ...]``: logits of classes, or the numbers of a regression.
        labels: ``[samples, ...]``, of the likeliest class; None for a regression.
        probabilities: of these classes, likewise.
        classes: names of the labels 0, 1, ...; empty where the labels are numbers.
        learned: names of the columns that were learned, one per feature where there are several.
    """

    name: str
    outputs: Tensor
    labels: Tensor | None = None
    probabilities: Tensor | None = None
    classes: tuple[str, ...] = ()
    learned: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        name: str,
        outputs: Tensor,
        preprocessing: Preprocessing,
        answer: Answer | None = None,
        class_axis: int = 1,
    ) -> Prediction:
        """What outputs ``[samples, ...]`` of a network mean; ``answer`` says it where there are several."""
        answer = answer or Answer(classes=preprocessing.classes)
        decide = preprocessing.objective.decide
        called = answer.columns[0] if len(answer.columns) == 1 else name
        if decide is None:
            return cls(called, outputs, learned=answer.columns)
        labels, probabilities = decide(outputs.movedim(class_axis, 1))
        return cls(called, outputs, labels, probabilities, answer.classes, answer.columns)

    @property
    def answers(self) -> np.ndarray:
        """Names of classes, labels, or numbers: ``[samples]``, with more axes where a sample has several answers."""
        values = _single(self.outputs if self.labels is None else self.labels)
        if self.labels is None or not self.classes:
            return values
        # An output may have more features than there are classes.
        names = [*self.classes, *map(str, range(len(self.classes), int(values.max(initial=0)) + 1))]
        found: np.ndarray = np.array(names, dtype=object)[values]
        return found

    def columns(self) -> dict[str, np.ndarray]:
        """The columns of a table, by their names.

        Raises:
            DataError: if a sample's answers are a map or tokens.
        """
        parts = {"": self.answers}
        if self.probabilities is not None:
            parts["_probability"] = _single(self.probabilities)
        found: dict[str, np.ndarray] = {}
        for ending, values in parts.items():
            extents = values.shape[1:]
            if not extents:
                found[f"{self.name}{ending}"] = values
                continue
            if extents[1:]:
                raise DataError(
                    f"each sample has answers of shape {list(extents)}, which go into no table; "
                    "use dagrow.load_model(DIR).predict(x) in Python"
                )
            if extents == (len(self.learned),):
                found |= {f"{name}{ending}": column for name, column in zip(self.learned, values.T, strict=True)}
            else:
                found |= {f"{self.name}{ending}_{number}": column for number, column in enumerate(values.T)}
        return found


def prediction_table(predictions: Sequence[Prediction], names: Sequence[str] = ()) -> str:
    """A table with a header and a line per sample, as csv; the names of the samples come first, if they have any.

    Raises:
        DataError: if the answers go into no table.
    """
    columns: dict[str, Any] = {"file": names} if names else {}
    for prediction in predictions:
        columns |= prediction.columns()
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return file.getvalue()


def _single(values: Tensor) -> np.ndarray:
    """As an array; one answer per sample comes without an axis that counts it."""
    array: np.ndarray = values.detach().cpu().numpy()
    return array[:, 0] if array.shape[1:] == (1,) else array
