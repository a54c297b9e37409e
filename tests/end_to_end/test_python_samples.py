"""``dagrow.grow`` on what a user has in Python: every form of samples, a loss, metrics, a validation set."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.datasets import load_wine
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, TensorDataset

import dagrow

GRAPH = {
    "inputs": {"x": {"shape": [3]}},
    "nodes": {"h": {"size": 2, "activation": "tanh"}, "y": {"size": 2}},
    "edges": {"x -> h": "linear", "h -> y": "linear"},
    "outputs": "y",
}
TWO = {
    "inputs": {"left": {"shape": [2]}, "right": {"shape": [1]}},
    "nodes": {"h": {"size": 2, "activation": "tanh"}, "y": {"size": 2}, "z": {"size": 2}},
    "edges": {"left -> h": "linear", "right -> h": "linear", "h -> y": "linear", "h -> z": "linear"},
    "outputs": ["y", "z"],
}
QUICK = {"batch_size": 16, "epochs_between_growth": 1, "final_epochs": 1}
GROWTH = {"neurons": 1, "samples": 50, "budget": {"steps": 1}}
X = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > X[:, 1]).long()
NAMES = np.array(["no", "yes"])


def grow(train, graph=None, training=None, **options):
    own = {**QUICK, **(training or {})}
    growth = {**GROWTH, **options.pop("growth", {})}
    return dagrow.grow(graph or GRAPH, train=train, training=own, growth=growth, **{"write": False, **options})


def weights(result):
    return torch.cat([value.flatten() for value in result.model.state_dict().values()])


class Pairs(Dataset):
    def __len__(self):
        return len(X)

    def __getitem__(self, index):
        return X[index], Y[index]


FORMS = {
    "arrays": (X.numpy(), Y.numpy()),
    "lists": (X.tolist(), Y.tolist()),
    "float64": (X.double(), Y),
    "mapping": ({"x": X}, {"y": Y}),
    "dataset": TensorDataset(X, Y),
    "own dataset": Pairs(),
    "loader": DataLoader(Pairs(), batch_size=7),
    "batches": [(X[:50], Y[:50]), (X[50:], Y[50:])],
    "batches of arrays": [(X[:50].numpy(), Y[:50].numpy()), (X[50:].numpy(), Y[50:].numpy())],
}


def test_every_form_of_the_same_samples_gives_the_same_run():
    plain = weights(grow((X, Y)))
    for name, form in FORMS.items():
        assert torch.equal(weights(grow(form)), plain), name


def test_names_of_classes_and_of_columns_travel(tmp_path):
    class Table:
        """What pandas and polars have in common."""

        columns = ("a", "b", "c")

        def __array__(self, dtype=None, copy=None):
            return X.numpy()

    table = Table()
    result = grow((table, NAMES[Y]), write=True, out=tmp_path / "run")
    found = dagrow.load_model(tmp_path / "run")
    assert found.preprocessing.columns == ("a", "b", "c")
    assert set(found.predict(table).answers) <= {"no", "yes"}
    assert torch.equal(weights(result), weights(grow((X, Y))))
    (tmp_path / "rows.csv").write_text("a,b,c\n9,-9,0\n")
    assert len(found.predict_file(tmp_path / "rows.csv").predictions[0].answers) == 1


@pytest.mark.parametrize("wrap", [tuple, lambda parts: dict(zip(("left", "right"), parts, strict=True))])
def test_several_inputs_and_outputs(wrap):
    parts = wrap((X[:, :2], X[:, 2:]))
    found = grow((parts, (Y, 1 - Y)), graph=TWO)
    plain = grow(([*X.numpy()], {"y": Y, "z": 1 - Y}), graph=TWO)
    assert torch.equal(weights(found), weights(plain))


def test_scores_are_measured_on_the_test_samples_that_were_given():
    test = (X[:20] + 1, Y[:20])
    result = grow((X, Y), test=test)
    with torch.no_grad():
        expected = functional.cross_entropy(result.model(test[0]), test[1])
    assert result.test.loss == pytest.approx(float(expected), rel=1e-5)
    assert grow((X, Y), validation=test).test.loss > 0


def test_nothing_is_trained_on_the_validation_samples_and_the_best_on_them_is_handed_back():
    validation = (X[:20] * 3, 1 - Y[:20])
    adaptive = {"schedule": "adaptive", "neurons": 1, "samples": 50, "budget": {"steps": 1, "parameters": 30}}
    training = {"final_epochs": 1, "batch_size": 16}
    result = grow((X[20:], Y[20:]), validation=validation, growth=adaptive, training=training)
    assert [line["samples"] for line in result.events if line["event"] == "start"] == [40]
    finish = next(index for index, line in enumerate(result.events) if line["event"] == "finish")
    seen = [line["samples"] for line in result.events[finish:] if line["event"] == "epoch"]
    assert set(seen) == {40}
    scores = [line["score"]["loss"] for line in result.events if line["event"] == "validation"]
    assert len(scores) > len(seen)
    # With a timetable the run ends with the network that was best on them.
    timed = grow((X[20:], Y[20:]), validation=validation)
    lines = [line for line in timed.events if line["event"] == "validation"]
    best = min(lines, key=lambda line: (1 - line["score"]["accuracy"], line["score"]["loss"]))
    assert timed.test.loss == pytest.approx(best["score"]["loss"], rel=1e-5)


def test_standardized_inputs_of_a_table_with_another_unit():
    x, y = load_wine(return_X_y=True)
    graph = {**GRAPH, "inputs": {"x": {"shape": [13]}}, "nodes": {"h": {"size": 4}, "y": {"size": 3}}}
    run = {"graph": graph, "data": {"in_memory": True, "standardize": True}, "training": QUICK, "growth": GROWTH}
    result = dagrow.grow(run, train=(x, y), training={"final_epochs": 20}, write=False)
    assert result.test.accuracy > 0.8
    assert (result.predict(x).labels.numpy() == y).mean() > 0.8


def smooth(output, target):
    return functional.cross_entropy(output, target, label_smoothing=0.2)


def test_a_loss_of_ones_own_with_the_targets_of_a_named_one(tmp_path):
    result = grow((X, Y), loss=smooth, training={"loss": "cross_entropy"}, write=True, out=tmp_path / "run")
    assert result.train.accuracy is not None
    assert result.train.loss > 0.3  # a smoothed loss cannot be lower
    run = dagrow.load_run(tmp_path / "run" / "run.yaml")
    assert (run.training.loss, run.training.custom_loss) == ("cross_entropy", "smooth")
    assert dagrow.load_model(tmp_path / "run").predict(X).labels is not None


def quantile(output, target):
    error = target[:, None] - output
    return torch.maximum(0.9 * error, -0.1 * error).mean()


def test_a_loss_whose_targets_no_named_one_takes():
    graph = {**GRAPH, "nodes": {"h": {"size": 2, "activation": "tanh"}, "y": {"size": 1}}}
    result = grow((X, X[:, 0] * X[:, 1]), graph=graph, loss=quantile, growth={"significance": 0.0})
    assert (result.train.accuracy, result.train.r2) == (None, None)
    plan = next(line for line in result.events if line["event"] == "growth")["plan"]
    with torch.no_grad():
        expected = float(quantile(result.model(X), X[:, 0] * X[:, 1]))
    assert [candidate["place"] for candidate in plan["candidates"]] == ["h"]
    assert 0 < expected < 1
    assert result.predict(X).answers.shape == (60,)


def test_the_same_loss_by_name_and_as_a_function_is_the_same_run():
    named = grow((X, Y), loss="cross_entropy")
    given = grow((X, Y), loss=functional.cross_entropy, training={"loss": "cross_entropy"})
    assert torch.equal(weights(named), weights(given))


def test_metrics_are_measured_after_each_unit_and_at_the_end():
    def recall(output, target):
        return ((output.argmax(1) == 1) & (target == 1)).sum() / (target == 1).sum()

    class Streaming:
        """As those of torchmetrics."""

        def reset(self):
            self.right, self.count = 0, 0

        def update(self, output, target):
            self.right, self.count = self.right + (output.argmax(1) == target).sum(), self.count + len(target)

        def compute(self):
            return self.right / self.count

        def __call__(self, output, target):
            raise AssertionError("it is updated, not called")

    result = grow((X, Y), metrics={"recall": recall, "right": Streaming()}, test=(X, Y))
    assert result.metrics["right"] == pytest.approx(result.test.accuracy)
    with torch.no_grad():
        assert result.metrics["recall"] == pytest.approx(float(recall(result.model(X), Y)))
    lines = [line for line in result.events if line["event"] == "metrics"]
    assert len(lines) == sum(line["event"] in ("epoch", "growth") for line in result.events) + 1
    assert all(set(line["values"]) == {"recall", "right"} for line in lines)


def test_metrics_of_a_regression_are_in_the_users_units():
    graph = {**GRAPH, "nodes": {"h": {"size": 2, "activation": "tanh"}, "y": {"size": 1}}}
    y = 1000 + 50 * X[:, 0]
    result = grow(
        (X, y),
        graph=graph,
        loss="mse",
        training={"standardize_targets": True},
        metrics={"mean": lambda o, t: o.mean(), "target": lambda o, t: t.mean()},
        test=(X, y),
    )
    for line in result.events:
        if line["event"] == "metrics":
            assert line["values"]["target"] == pytest.approx(float(y.mean()), rel=1e-4)
            assert 900 < line["values"]["mean"] < 1100


def test_a_run_is_continued_with_its_samples_given_again(tmp_path):
    class Fail(dagrow.Callback):
        def on_growth(self, run, event):
            raise ValueError

    out = tmp_path / "run"
    options = {"train": (X, Y), "metrics": {"n": lambda o, t: len(t)}, "loss": smooth}
    training = {"loss": "cross_entropy"}
    with pytest.raises(dagrow.CallbackError):
        grow(**options, training=training, callbacks=Fail(), write=True, out=out)
    with pytest.raises(dagrow.RunError, match=r"the loss 'smooth' of this run was given in Python"):
        dagrow.grow(out, resume=True)
    with pytest.raises(dagrow.DataError, match="the samples of this run were given in Python"):
        dagrow.grow(out, resume=True, loss=smooth)
    with pytest.raises(dagrow.RunError, match="the samples are not those that the run began with"):
        dagrow.grow(out, resume=True, loss=smooth, train=(X + 1, Y))
    resumed = dagrow.grow(out, resume=True, **options)
    assert torch.equal(weights(resumed), weights(grow(**options, training=training)))
    again = dagrow.grow(out, resume=True, **options)
    assert again.metrics == resumed.metrics == {"n": 12.0}
    stored = load_file(out / "weights.safetensors")
    assert torch.equal(torch.cat([stored[key].flatten() for key in again.model.state_dict()]), weights(again))


@pytest.mark.parametrize(
    ("train", "text"),
    [
        (X, "give (x, y) with arrays or tensors"),
        ((X,), "a tuple must be (x, y), this one has 1 entries"),
        ((X, Y[:5]), "different numbers of samples"),
        ([X], "batch 1 is no pair (x, y)"),
        ([], "there are no batches"),
        (({"z": X}, Y), "train x has the entries z; the graph has x"),
        (((X, X), Y), "train x is a tuple of 2 arrays; the graph has x"),
        ((X[:, :2], Y), "a sample has shape [2] (2 values), input 'x' needs [3] (3 values)"),
        ((X, Y + 5), "labels run from 5 to 6"),
        ((X / 0, Y), "the samples: "),
        (([[1, 2, 3], [1]], [0, 1]), "its rows are not equally long"),
        ((X, np.array([object()] * 60)), "neither numbers nor texts"),
    ],
    ids=range(12),
)
def test_samples_that_do_not_fit_are_one_sentence(train, text):
    with pytest.raises(dagrow.DataError) as caught:
        grow(train)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"loss": "crossentropy"}, "did you mean 'cross_entropy'"),
        ({"loss": 3}, "a loss is a name or a function, not int"),
        ({"loss": lambda o, t: (o - t[:, None]).square()}, "the loss '<lambda>' must give one number"),
        ({"metrics": {"f": 3}}, "the metric 'f' is a int, which cannot be called"),
        ({"metrics": {"f": lambda o, t: o}}, "the metric 'f' must give one number, not a tensor of shape [12, 2]"),
        ({"metrics": [lambda o, t: 1, lambda o, t: 2]}, "two metrics are called '<lambda>'"),
        ({"metrics": {"f": lambda o, t: 1 / 0}}, "the metric 'f' failed (ZeroDivisionError: division by zero)"),
        ({"training": {"epoch": 3}}, "training / epoch: unknown field 'epoch'"),
        ({"training": {"precision": "bfloat16", "dtype": "float64"}}, "'precision: bfloat16' needs 'dtype: float32'"),
    ],
    ids=range(9),
)
def test_what_cannot_be_is_one_sentence(options, text):
    with pytest.raises(dagrow.DagrowError) as caught:
        grow((X, Y), **options)
    assert text in str(caught.value)


def test_validation_without_train_and_a_network_instead_of_a_graph():
    with pytest.raises(dagrow.DataError, match="'validation' goes with 'train'"):
        dagrow.grow(GRAPH, validation=(X, Y))
    with pytest.raises(dagrow.RunError, match=r"give model\.spec"):
        dagrow.grow(torch.nn.Linear(1, 1), train=(X, Y))


def test_a_file_a_spec_and_a_mapping_are_the_same_run(tmp_path):
    run = {"graph": GRAPH, "training": QUICK, "growth": GROWTH}
    spec = dagrow.RunSpec.model_validate(run)
    dagrow.save_graph(spec.graph, tmp_path / "graph.yaml")
    plain = weights(dagrow.grow(run, train=(X, Y), seed=4, write=False))
    for source in (spec, spec.graph, tmp_path / "graph.yaml"):
        sections = {} if source is spec else {"training": QUICK, "growth": GROWTH}
        assert torch.equal(weights(dagrow.grow(source, train=(X, Y), seed=4, write=False, **sections)), plain)
