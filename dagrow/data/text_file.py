"""A text as windows of tokens, each of which says what comes next: ``data: {text: FILE}``."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from dagrow.data.data_source import DataSource, ReadSettings
from dagrow.data.raw import Arrays, Raw
from dagrow.errors import DataError
from dagrow.files import read_file
from dagrow.graph import Dag
from dagrow.objectives import Loss

_BYTES = 256


class TextFile(DataSource):
    """A file of any text, whose tokens are its bytes. The target of each token is the one that follows it.

    Windows have the length of the input. The end of the text is kept for testing, so that no window of the test has
    a byte in common with one of the training.
    """

    name: ClassVar[str] = "text"
    main_field: ClassVar[str] = "path"
    path_fields: ClassVar[tuple[str, ...]] = ("path",)

    path: str = Field(
        description="a text file, of whose bytes the network learns which comes next: input `[length]` with a "
        "`vocabulary` of 256, output `[length, 256]`. Its last part is kept for testing"
    )
    stride: int | None = Field(
        default=None,
        ge=1,
        description="bytes from one window of a text to the next; the length of a window if left out",
    )

    @property
    def title(self) -> str:
        """How messages call it."""
        return self.path

    def read(self, dag: Dag, loss: Loss, settings: ReadSettings) -> Raw:
        """All windows, in the order of the text.

        Raises:
            DataError: if the graph reads no bytes or the loss no labels, or the text is too short.
        """
        length = _window_length(dag)
        if loss.takes != "labels":
            raise DataError(f"the next byte is one of {_BYTES} classes: use cross_entropy, not {loss.name}")
        try:
            content = read_file(self.path)
        except OSError as error:
            raise DataError(error.strerror or str(error)) from error
        text = torch.from_numpy(np.frombuffer(content, dtype=np.uint8).copy())
        first = round(len(text) * (1 - settings.test_share))
        parts = text[:first], text[first:]
        short = min(map(len, parts))
        if short <= length:
            raise DataError(
                f"{len(text)} bytes leave {short} for the shorter of training and test; a window takes {length + 1}"
            )
        train, test = (_windows(part, length, self.stride or length) for part in parts)
        counts = f"{len(train.inputs[0])} windows of {length} to learn from, {len(test.inputs[0])} to test with"
        return Raw(train, test, notes=(f"{len(text)} bytes: {counts}",))


def _window_length(dag: Dag) -> int:
    inputs, outputs = list(dag.spec.inputs.items()), [dag.output(name) for name in dag.spec.outputs]
    name, entry = inputs[0]
    if len(inputs) > 1 or (entry.vocabulary or 0) < _BYTES:
        raise DataError(f"a text needs one input, of bytes: '{name}: {{shape: [length], vocabulary: {_BYTES}}}'")
    for output in outputs:
        if output.positions != entry.shape or output.channels < _BYTES:
            wanted = [*entry.shape, _BYTES]
            raise DataError(f"each byte has a next one: an output has shape {wanted}, not {list(output)}")
    return entry.shape[0]


def _windows(text: Tensor, length: int, stride: int) -> Arrays:
    rows = text.unfold(0, length + 1, stride)
    return Arrays((rows[:, :-1].contiguous(),), (rows[:, 1:].long(),))
