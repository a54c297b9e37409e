"""The estimators are those that scikit-learn expects: its own checks, pipelines, searches, pickles, weights."""

from importlib.util import find_spec

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris, make_regression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures
from sklearn.utils.estimator_checks import estimator_checks_generator

import dagrow

QUICK = {
    "width": 4,
    "growth_steps": 1,
    "validation_fraction": None,
    "training": {
        "optimizer": {"name": "adam", "lr": 0.05},
        "batch_size": 64,
        "epochs_between_growth": 3,
        "final_epochs": 10,
    },
    "growth": {"schedule": "epochs", "neurons": 4, "samples": 60, "held_out": 0.0, "fallback_method": "none"},
}


def classifier(**options):
    return dagrow.GrowingClassifier(**{"random_state": 0, **QUICK, **options})


def regressor(**options):
    return dagrow.GrowingRegressor(**{"random_state": 0, **QUICK, **options})


# Array libraries other than numpy's need an environment variable of scipy; tables need a package that tests do not.
OF_PANDAS = (
    "check_dataframe_column_names_consistency",
    "check_classifier_data_not_an_array",
    "check_regressor_data_not_an_array",
    "check_sample_weights_pandas_series",
)
LEFT_OUT = {"check_array_api_input", *(() if find_spec("pandas") else OF_PANDAS)}


def name_of(part):
    """Of an estimator, or of a check with its options bound."""
    return getattr(getattr(part, "func", None), "__name__", type(part).__name__)


CHECKS = [
    (estimator, check)
    for estimator in (dagrow.GrowingClassifier(**QUICK), dagrow.GrowingRegressor(**QUICK))
    for estimator, check in estimator_checks_generator(estimator, mark=None)
    if check.func.__name__ not in LEFT_OUT
]


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    ("estimator", "check"), CHECKS, ids=lambda part: getattr(part, "func", part).__class__.__name__
)
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)


def test_a_default_estimator_grows_and_knows_names():
    x, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    fitted = dagrow.GrowingClassifier(random_state=0, max_epochs=40).fit(x, names)
    assert fitted.score(x, names) > 0.9
    assert any(event.get("inserted") for event in fitted.journal_)
    assert fitted.predict_proba(x).sum(axis=1) == pytest.approx(1.0)


def test_pipeline_search_and_joblib(tmp_path):
    x, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(PolynomialFeatures(2, include_bias=False), classifier())
    search = GridSearchCV(pipeline, {"growingclassifier__width": [2, 4]}, cv=2, n_jobs=1).fit(x, y)
    assert search.best_score_ > 0.8
    joblib.dump(search, tmp_path / "search.joblib")
    loaded = joblib.load(tmp_path / "search.joblib")
    assert np.array_equal(loaded.predict_proba(x), search.predict_proba(x))


def test_the_order_of_rows_changes_nothing_and_the_seed_does():
    x, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    first, again = classifier().fit(x, y), classifier().fit(x[order], y[order])
    assert np.array_equal(first.predict_proba(x), again.predict_proba(x))
    assert not np.array_equal(first.predict_proba(x), classifier(random_state=1).fit(x, y).predict_proba(x))


@pytest.mark.parametrize("make", [classifier, regressor])
def test_weights_that_are_no_whole_numbers_weigh_the_loss(make):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(120, 2))
    low, high = np.zeros(120), np.ones(120)
    # Every row stands there twice, with two answers: the heavier one wins.
    both, answers = np.vstack([x, x]), np.concatenate([low, high])
    for heavy, wins in ((low, 1.0), (high, 0.0)):
        weights = np.concatenate([0.2 + 1.6 * heavy, 1.8 - 1.6 * heavy])
        found = make().fit(both, answers, sample_weight=weights).predict(x)
        assert np.mean(np.abs(found - wins)) < 0.4


def test_weights_below_zero_are_refused():
    x, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match="Negative values"):
        classifier().fit(x, y, sample_weight=np.full(len(x), -1.0))


def test_targets_in_another_unit_and_several_of_them():
    x, y = make_regression(150, 4, n_targets=2, random_state=0)
    y = y * [1.0, 1e6] + [0.0, 1e8]
    fitted = regressor(training={**QUICK["training"], "final_epochs": 60}).fit(x, y)
    assert fitted.predict(x).shape == y.shape
    assert fitted.score(x, y) > 0.9
    assert regressor().fit(x, y[:, 0]).predict(x).shape == (150,)


def test_limits_end_a_fit():
    x, y = load_iris(return_X_y=True)
    assert dagrow.GrowingClassifier(max_epochs=2, random_state=0).fit(x, y).n_iter_ == 2
    assert dagrow.GrowingClassifier(max_seconds=1e-9, random_state=0).fit(x, y).n_iter_ == 1


def test_a_graph_of_ones_own_and_clones():
    graph = {
        "inputs": {"x": {"shape": [4]}},
        "nodes": {"a": {"size": 2, "activation": "selu"}, "y": {"size": 3}},
        "edges": {"x -> a": "linear", "a -> y": "linear", "x -> y": "linear"},
        "outputs": "y",
    }
    x, y = load_iris(return_X_y=True)
    fitted = clone(classifier(graph=graph)).fit(x, y)
    assert list(fitted.graph_.nodes) == ["a", "y"]
    assert fitted.score(x, y) > 0.8
