from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def write_npz(tmp_path):
    def write(**arrays):
        path = tmp_path / "file.npz"
        np.savez(path, **arrays)
        return str(path)

    return write


@pytest.fixture
def write_csv(tmp_path):
    def write(*lines: str):
        path = tmp_path / "table.csv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return str(path)

    return write
