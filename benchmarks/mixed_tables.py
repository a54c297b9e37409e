"""Default runs on tables of words, gaps, dates and numbers, beside boosted trees and a multilayer perceptron.

Each table goes through ``dagrow init`` and ``dagrow grow`` as it is, with nothing set: from the raw file to answers.
Beside it scikit-learn's HistGradientBoosting, which reads categories and gaps itself (dates as numbers), and its MLP
behind the usual pipeline: gaps filled, numbers and dates scaled, categories one-hot. A quarter of the rows is for
testing. Three of the tables are drawn, two are real: Titanic (OpenML 40945, as scikit-learn ships it for its tests,
without ``boat`` and ``body``, which tell the answer) and Palmer penguins (OpenML 42585).

    python benchmarks/mixed_tables.py [--seeds 3] [--only NAME]
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import re
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import sklearn
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import dagrow
from dagrow.starter import write_first_run

ROWS = 2_000
OPENML = Path(sklearn.__file__).parent / "datasets" / "tests" / "data" / "openml"


class Task(NamedTuple):
    """A table, the column to learn, and whether that holds classes."""

    frame: pd.DataFrame
    target: str
    classes: bool


def customers() -> Task:
    """Who leaves: categories that interact, a date, gaps that mean something."""
    draw = np.random.default_rng(1)
    plan = draw.choice(["basic", "plus", "pro"], ROWS, p=[0.5, 0.3, 0.2])
    town = draw.choice([f"town {n}" for n in range(15)], ROWS)
    since = pd.Timestamp("2019-01-01") + pd.to_timedelta(draw.integers(0, 1500, ROWS), "D")
    spent = np.exp(draw.normal(3, 0.8, ROWS))
    calls = draw.poisson(2, ROWS).astype(float)
    risk = 1.2 * (plan == "basic") * (calls > 2) - 1.5 * (plan == "pro") * (np.log(spent) > 3)
    risk += 0.8 * np.isin(town, ["town 3", "town 7", "town 11"]) + np.cos(2 * np.pi * since.dayofyear / 365)
    risk += 0.8 * (draw.random(ROWS) < 0.2) + draw.logistic(0, 0.5, ROWS)
    frame = pd.DataFrame({"plan": plan, "town": town, "since": since, "spent": spent, "calls": calls})
    frame["news"] = draw.random(ROWS) < 0.5
    frame.loc[draw.random(ROWS) < 0.15, "calls"] = np.nan
    frame.loc[draw.random(ROWS) < 0.1, "plan"] = None
    return Task(frame.assign(leaves=np.where(risk > 0.3, "yes", "no")), "leaves", True)


def flats() -> Task:
    """What a flat costs: forty quarters, size, the year of the offer, a season, gaps."""
    draw = np.random.default_rng(2)
    quarter = draw.integers(0, 40, ROWS)
    level = draw.normal(0, 0.4, 40)[quarter]
    size = draw.gamma(6, 14, ROWS)
    offered = pd.Timestamp("2018-01-01") + pd.to_timedelta(draw.integers(0, 2200, ROWS), "D")
    years = (offered - pd.Timestamp("2018-01-01")).days / 365
    heating = draw.choice(["gas", "oil", "heat pump"], ROWS)
    price = size * np.exp(1 + level + 0.06 * years + 0.1 * (heating == "heat pump")) * draw.lognormal(0, 0.08, ROWS)
    price *= 1 + 0.05 * np.sin(2 * np.pi * offered.dayofyear / 365)
    frame = pd.DataFrame({"quarter": [f"q{n:02}" for n in quarter], "size": size, "offered": offered})
    frame = frame.assign(heating=heating, lift=draw.random(ROWS) < 0.5, price=price.round(1))
    frame.loc[draw.random(ROWS) < 0.1, "size"] = np.nan
    frame.loc[draw.random(ROWS) < 0.2, "heating"] = None
    return Task(frame, "price", False)


def tickets() -> Task:
    """Which desk answers: four classes from categories alone and two numbers, some rare."""
    draw = np.random.default_rng(3)
    product = draw.choice([f"p{n}" for n in range(25)], ROWS, p=(p := 1 / np.arange(1, 26)) / p.sum())
    language = draw.choice(["de", "fr", "it", "en"], ROWS)
    urgent, length = draw.random(ROWS) < 0.3, draw.lognormal(5, 1, ROWS)
    number = np.array([int(name[1:]) for name in product])
    desk = np.where(urgent & (number % 3 == 0), 3, np.where(language == "fr", 1, number % 2 * 2))
    desk = np.where((length > 400) & (language != "fr"), 2, desk)
    desk = np.where(draw.random(ROWS) < 0.08, draw.integers(0, 4, ROWS), desk)
    frame = pd.DataFrame({"product": product, "language": language, "urgent": urgent, "length": length})
    frame.loc[draw.random(ROWS) < 0.1, "language"] = None
    return Task(frame.assign(desk=np.array(["ask", "west", "tech", "now"])[desk]), "desk", True)


def _openml(folder: str) -> pd.DataFrame:
    """A table in the files of scikit-learn's tests."""
    (path,) = (OPENML / folder).glob("data-*.arff.gz")
    text = gzip.decompress(path.read_bytes()).decode()
    names = re.findall(r"^@attribute\s+'?([\w.]+)'?", text, re.M | re.I)
    rows = csv.reader(io.StringIO(text[text.lower().index("@data") + 5 :]))
    cells = [[cell.strip() for cell in row] for row in rows if len(row) == len(names)]
    plain = io.StringIO()
    csv.writer(plain).writerows([names, *cells])
    plain.seek(0)
    return pd.read_csv(plain, na_values=["?", "_"])


def titanic() -> Task:
    """Who survived."""
    frame = _openml("id_40945").drop(columns=["boat", "body"])
    return Task(frame.assign(survived=frame["survived"].map({0: "no", 1: "yes"})), "survived", True)


def penguins() -> Task:
    """How heavy a penguin is."""
    return Task(_openml("id_42585").dropna(subset=["body_mass_g"]), "body_mass_g", False)


TASKS = (customers, flats, tickets, titanic, penguins)


def by_dagrow(train: pd.DataFrame, test: pd.DataFrame, task: Task, seed: int) -> np.ndarray:
    """From a csv file to answers, nothing set: seeds draw the split alone."""
    with tempfile.TemporaryDirectory() as folder:
        data, run = Path(folder) / "train.csv", Path(folder) / "run.yaml"
        train.to_csv(data, index=False)
        write_first_run(data, run, task.target)
        result = dagrow.grow(run, out=Path(folder) / "run")
        test.to_csv(Path(folder) / "test.csv", index=False)
        (found,) = result.trained_model().predict_file(Path(folder) / "test.csv").predictions
    return found.answers


def _parts(frame: pd.DataFrame, task: Task) -> tuple[pd.DataFrame, list[str], list[str]]:
    """Inputs with dates and truths as numbers; names of columns of numbers, and of words."""
    x = frame.drop(columns=task.target)
    for name in x.columns:
        if pd.api.types.is_datetime64_any_dtype(x[name]):
            x[name] = x[name].astype("int64") / 1e9
        elif pd.api.types.is_bool_dtype(x[name]):
            x[name] = x[name].astype(float)
    numbers = [name for name in x.columns if pd.api.types.is_numeric_dtype(x[name])]
    return x, numbers, [name for name in x.columns if name not in numbers]


def by_trees(train: pd.DataFrame, test: pd.DataFrame, task: Task, seed: int) -> np.ndarray:
    """Categories of up to 255 values are read as such; columns of more are left out."""
    x, numbers, words = _parts(train, task)
    used = [name for name in words if x[name].nunique() <= 255]
    other = _parts(test, task)[0]
    kinds = {name: pd.CategoricalDtype(sorted(x[name].dropna().unique())) for name in used}
    kind = HistGradientBoostingClassifier if task.classes else HistGradientBoostingRegressor
    model = kind(categorical_features="from_dtype", random_state=seed)
    model.fit(x[numbers + used].astype(kinds), train[task.target])
    return np.asarray(model.predict(other[numbers + used].astype(kinds)))


def by_mlp(train: pd.DataFrame, test: pd.DataFrame, task: Task, seed: int) -> np.ndarray:
    """The usual pipeline; targets of a regression are standardized."""
    x, numbers, words = _parts(train, task)
    used = [name for name in words if x[name].nunique() <= 255]
    filled = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    encoded = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="none"), OneHotEncoder(handle_unknown="ignore", min_frequency=2)
    )
    columns = make_column_transformer((filled, numbers), (encoded, used))
    y = train[task.target]
    if task.classes:
        model = make_pipeline(columns, MLPClassifier(random_state=seed, max_iter=500))
        return np.asarray(model.fit(x, y).predict(_parts(test, task)[0]))
    model = make_pipeline(columns, MLPRegressor(random_state=seed, max_iter=500))
    model.fit(x, (y - y.mean()) / y.std())
    return np.asarray(model.predict(_parts(test, task)[0]) * y.std() + y.mean())


METHODS: dict[str, Callable[[pd.DataFrame, pd.DataFrame, Task, int], np.ndarray]] = {
    "dagrow": by_dagrow,
    "trees": by_trees,
    "MLP": by_mlp,
}


def main() -> None:
    """Prints a row per table: mean and deviation over seeds, and CPU seconds of dagrow."""
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=[make.__name__ for make in TASKS])
    arguments = parser.parse_args()
    print(f"| table | rows, columns | {' | '.join(METHODS)} | seconds |", flush=True)
    for make in TASKS:
        if arguments.only not in (None, make.__name__):
            continue
        task = make()
        scores: dict[str, list[float]] = {name: [] for name in METHODS}
        seconds = 0.0
        for seed in range(arguments.seeds):
            kept = task.frame[task.target] if task.classes else None
            train, test = train_test_split(task.frame, random_state=seed, stratify=kept)
            for name, method in METHODS.items():
                start = time.process_time()
                answers = method(train, test, task, seed)
                seconds += (time.process_time() - start) * (name == "dagrow")
                measure = accuracy_score if task.classes else r2_score
                scores[name].append(measure(test[task.target].to_numpy(), answers))
        shown = " | ".join(f"{np.mean(values):.3f} ± {np.std(values):.3f}" for values in scores.values())
        extent = f"{len(task.frame)}, {task.frame.shape[1] - 1}"
        print(f"| {make.__name__} | {extent} | {shown} | {seconds / arguments.seeds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
