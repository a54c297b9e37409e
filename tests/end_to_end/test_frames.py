"""Data frames with words, gaps and dates: learned from and asked about as the tables of files are, by their columns."""

import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from sklearn.model_selection import cross_val_score

import dagrow

GRAPH = {
    "inputs": {"x": {"shape": [11]}},
    "nodes": {"h": {"size": 3, "activation": "relu"}, "y": {"size": 2}},
    "edges": {"x -> h": "linear", "h -> y": "linear"},
    "outputs": "y",
}
TRAINING = {
    "optimizer": {"name": "adam", "lr": 0.05},
    "batch_size": 16,
    "epochs_between_growth": 1,
    "final_epochs": 8,
}
GROWTH = {"schedule": "epochs", "neurons": 1, "samples": 100, "budget": {"steps": 1}}


def people(count=120):
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": draw.integers(18, 80, count).astype(float),
            "town": draw.choice(["Bern", "Chur", "Genf"], count),
            "member": draw.random(count) < 0.5,
            "day": pd.Timestamp("2021-01-01") + pd.to_timedelta(draw.integers(0, 900, count), "D"),
        }
    )
    large = (frame["age"] > 45) != (frame["town"] == "Chur")
    frame.loc[::9, "age"] = np.nan
    return frame, pd.Series(np.where(large, "large", "small"), name="kind")


FRAME, KIND = people()
ODD = {
    "more": [1, 2],
    "town": ["Rom", "Bern"],
    "day": ["2021-05-05", "2022-01-01"],
    "member": [True, None],
    "age": [30, None],
}


def grow(frame, kind=KIND, graph=GRAPH, **options):
    """Of an input of 11 features, where every category and a gap is in the training rows."""
    return dagrow.grow(graph, train=(frame, kind), training=TRAINING, growth=GROWTH, **options)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("frames") / "run"
    grow(FRAME, out=out)
    return out


def test_every_kind_of_frame_gives_the_same_network(made):
    weights = dagrow.load_model(made).network.state_dict()
    for frame in (pa.Table.from_pandas(FRAME), FRAME.astype({"town": "category"})):
        again = grow(frame, write=False).model.state_dict()
        assert all(torch.equal(weights[name], value) for name, value in again.items())


def test_the_columns_are_found_by_their_names_and_a_file_says_the_same(made, tmp_path):
    model = dagrow.load_model(made)
    assert (model.preprocessing.target, model.preprocessing.columns) == ("kind", tuple(FRAME.columns))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected = model.predict(FRAME)
        for frame in (FRAME[["day", "member", "town", "age"]], FRAME.assign(kind="?"), pa.Table.from_pandas(FRAME)):
            frame = frame.drop(columns="kind") if "kind" in getattr(frame, "columns", ()) else frame
            assert torch.equal(model.predict(frame).outputs, expected.outputs)
        shuffled = FRAME.sample(frac=1, random_state=0)
        assert model.predict(shuffled).answers.tolist() == expected.answers[shuffled.index].tolist()
    assert expected.name == "kind"
    assert (expected.answers == KIND).mean() > 0.7
    FRAME.to_csv(tmp_path / "people.csv", index=False)
    assert torch.equal(model.predict_file(tmp_path / "people.csv").predictions[0].outputs, expected.outputs)


@pytest.mark.parametrize("form", [dict, pd.DataFrame, pa.table])
def test_what_training_did_not_know_is_told(made, form):
    model = dagrow.load_model(made)
    with pytest.warns(UserWarning, match="column|not read") as told:
        found = model.predict(form(ODD))
    assert len(found.answers) == 2
    assert [str(each.message) for each in told] == [
        "not read, since training did not know them: more",
        "column 'town': 1 row has a category that training rarely or never saw (the first: 'Rom'), which is read as "
        "'other'",
        "column 'member': 1 row has an empty cell; in training there was none",
    ]


REFUSED = [
    (
        FRAME.rename(columns={"town": "twon"}),
        r"no column 'town' \(did you mean 'twon'\?\); the network reads age, town, member, day",
    ),
    (FRAME.assign(member=5), "row 1, column 'member': '5' is not true or false"),
    (FRAME.assign(day="yesterday"), "row 1, column 'day': 'yesterday' is not a date like 2024-12-31"),
    (FRAME.assign(age="old"), "row 1, column 'age': 'old' is not a number"),
    ({"age": 5}, "no table can be made of it"),
    (FRAME.head(0), "no samples"),
]


@pytest.mark.parametrize(("frame", "sentence"), REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_read_is_refused_in_a_sentence(made, frame, sentence):
    with pytest.raises(dagrow.DataError, match=sentence):
        dagrow.load_model(made).predict(frame)


def test_a_network_of_named_numbers_finds_its_columns_too():
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)), columns=["a", "b", "c"])
    graph = {**GRAPH, "inputs": {"x": {"shape": [3]}}}
    result = grow(frame, (frame["a"] > 0).astype(int), graph, write=False)
    expected = result.predict(frame.to_numpy()).outputs
    for other in (frame[["c", "a", "b"]], frame.to_dict("list"), pa.Table.from_pandas(frame)):
        assert torch.equal(result.predict(other).outputs, expected)
    for other, sentence in (
        (frame.drop(columns="b"), "no column 'b'; the network reads a, b, c"),
        (frame.assign(b="x"), "column 'b' holds something else than numbers"),
        (frame.assign(b=np.nan), "60 values are NaN"),
    ):
        with pytest.raises(dagrow.DataError, match=sentence):
            result.predict(other)


def test_a_person_says_which_columns_are_read_and_by_which_input():
    graph = {
        "inputs": {"numbers": {"shape": [3]}, "town": {"shape": [3]}},
        "nodes": {"y": {"size": 2}},
        "edges": {"numbers -> y": "linear", "town -> y": "linear"},
        "outputs": "y",
    }
    columns = {"inputs": {"numbers": ["age", "nr"], "town": ["town"]}, "keep": ["nr"]}
    run = {"graph": graph, "data": {"in_memory": True, "columns": columns}}
    frame = FRAME.assign(nr=range(len(FRAME)))
    result = dagrow.grow(run, train=(frame, KIND), test=(frame[:40], KIND[:40]), training=TRAINING, write=False)
    assert result.preprocessing.columns == ("age", "nr", "town")
    assert result.predict(frame[:2]).answers.shape == (2,)
    with pytest.raises(dagrow.DataError, match=r"no column 'tonw' \(did you mean 'town'\?\)"):
        dagrow.grow(
            {"graph": graph, "data": {"in_memory": True, "columns": {"drop": ["tonw"]}}},
            train=(frame, KIND),
            write=False,
        )
    with pytest.raises(dagrow.DataError, match=r"write 'x: {shape: \[11\]}'"):
        grow(frame, graph={**GRAPH, "inputs": {"x": {"shape": [4]}}}, write=False)


def test_estimators_encode_frames_themselves(tmp_path):
    options = {"width": 4, "growth_steps": 1, "training": TRAINING, "growth": GROWTH, "validation_fraction": None}
    classifier = dagrow.GrowingClassifier(random_state=0, **options)
    assert cross_val_score(classifier, FRAME, KIND, cv=2).mean() > 0.6
    fitted = classifier.fit(FRAME, KIND)
    assert fitted.feature_names_in_.tolist() == list(FRAME.columns)
    again = dagrow.GrowingClassifier(random_state=0, **options).fit(FRAME[::-1], KIND[::-1])
    assert np.array_equal(fitted.predict_proba(FRAME), again.predict_proba(FRAME))
    with pytest.warns(UserWarning, match="column 'town': 3 rows have a category that training rarely or never saw"):
        fitted.predict(FRAME[:3].assign(town="Rom"))
    with pytest.raises(ValueError, match="yet now missing"):
        fitted.predict(FRAME.drop(columns="town"))
    with (
        pytest.raises(dagrow.DataError, match="fitted on a table with named columns"),
        pytest.warns(UserWarning, match="feature names"),
    ):
        fitted.predict(np.zeros((2, 4)))
    written = dagrow.export(fitted.network_, to="pt2", out=tmp_path / "net.pt2", preprocessing=fitted.preprocessing_)
    raw = fitted.preprocessing_.reader.read_frame(FRAME).inputs[0]
    logits = torch.export.load(written.path).module()(raw)
    assert (np.array(["large", "small"])[logits.argmax(1)] == fitted.predict(FRAME)).all()
    weights = np.arange(len(FRAME)) % 3 + 0.5
    age = FRAME["age"].fillna(FRAME["age"].mean())
    regressor = dagrow.GrowingRegressor(random_state=0, **options).fit(FRAME, age, sample_weight=weights)
    assert regressor.score(FRAME, age) > 0.7
