"""What is not installed is named, with the command that installs it."""

import importlib
import sys

import pytest

import dagrow


def test_lightning(monkeypatch):
    for name in ("lightning", "lightning.pytorch", "lightning.pytorch.callbacks", "pytorch_lightning"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("dagrow.lightning", "dagrow.integrations.lightning_callback", "dagrow.integrations.between_epochs"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(dagrow.DagrowError, match=r"pip install 'dagrow\[lightning\]'"):
        importlib.import_module("dagrow.lightning")


def test_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    for name in ("dagrow.integrations.classifier", "dagrow.integrations.estimator"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(dagrow.DagrowError, match="GrowingClassifier needs scikit-learn"):
        dagrow.GrowingClassifier  # noqa: B018


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'GrowingTransformer'"):
        dagrow.GrowingTransformer  # noqa: B018
