"""The sections of a page about a run, in order. A new section is a function and a line in `SECTIONS`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from dagrow.errors import DagrowError
from dagrow.graph import Dag, cost
from dagrow.page.charts import Series, chart
from dagrow.page.html import Child, Markup, element, joined, picture, table, text_block
from dagrow.page.record import Event, RunRecord
from dagrow.report import History, number
from dagrow.report.pictures import picture_bytes
from dagrow.spec import GraphSpec


class Section(NamedTuple):
    """A part of the page.

    Attributes:
        key: by which the table of contents leads to it.
        title: its heading.
        content: what it says of a run.
    """

    key: str
    title: str
    content: Callable[[RunRecord], Markup]


def _summary(run: RunRecord) -> Markup:
    """Scores and sizes at the start and at the end."""
    scored = run.of("start", "growth", "removal", "finish", "end")
    rows: list[Sequence[Child]] = []
    for event in (scored[:1] + scored[-1:])[: len(scored)]:
        rows.append((event["event"], *_scores(event), *_sizes(event)))
    steps = run.of("growth")
    made = [event for event in steps if event.get("inserted")]
    epochs = max((int(event.get("epoch", 0)) for event in run.events), default=0)
    said = f"{len(made)} insertions in {len(steps)} growth steps, {epochs} epochs."
    end = None if run.ended else element("p", "This run has not come to its end.", class_="warning")
    told = [
        element("p", f"{event['event']}: {event.get('message') or event.get('reason') or ''}", class_="warning")
        for event in run.of("warning", "stopped")
    ]
    header = ("", "train loss", "test loss", "test accuracy or R²", "parameters", "multiply-adds")
    return joined([element("p", said), *([] if end is None else [end]), *told, table(header, rows)])


def _growth(run: RunRecord) -> Markup:
    """Scores, sizes and gains over time."""
    scored = run.of("start", "growth", "removal", "finish", "end")
    marks = [float(event.get("epoch", 0)) for event in run.of("growth") if event.get("inserted")]
    losses = [
        Series("train", _over(run.of("epoch"), lambda event: event.get("running_loss"))),
        Series("test", _over(scored, lambda event: (event.get("test") or {}).get("loss"))),
        Series("validation", _over(run.of("validation"), lambda event: (event.get("score") or {}).get("loss"))),
    ]
    rights = [
        Series("test", _over(scored, lambda event: _right(event.get("test")))),
        Series("validation", _over(run.of("validation"), lambda event: _right(event.get("score")))),
    ]
    sizes = [Series("parameters", _over(scored, lambda event: event.get("parameters")), steps=True)]
    titled = (("loss", losses), ("accuracy, or R² of a regression", rights), ("parameters", sizes))
    charts = [drawn for title, series in titled if (drawn := chart(title, series, marks)) is not None]
    rows: list[Sequence[Child]] = []
    for event in run.of("growth", "removal"):
        made = event.get("inserted") or event.get("removed") or {}
        gains = [number(made.get(key)) for key in ("gain", "held_out_gain")]
        rows.append((str(event["step"]), _what(event), *gains, *_scores(event), *_sizes(event)))
    header = (
        "step", "change", "gain", "held out", "train loss", "test loss", "test accuracy or R²", "parameters",
        "multiply-adds",
    )  # fmt: skip
    return joined([element("div", *charts, class_="charts"), table(header, rows, numbers_from=2)])


def _graphs(run: RunRecord) -> Markup:
    """The graph before, after, and what each step brought; of a module of one's own, the sizes of its spaces."""
    if run.graph is None:
        return _sizes_of_spaces(run)
    try:
        if run.history is None:
            return joined(
                [element("p", "The journal does not tell the graphs: this is the last one."), _drawn(run.graph)]
            )
        shown = [
            _figure("before", _drawn(run.history.start)),
            _figure("after", _drawn(run.graph)),
        ]
        if run.history.steps:
            svg = picture_bytes(run.history, "svg", title="growth", note="each step has a colour")
            shown.append(_figure("what each growth step brought", picture(svg, "the growth of the graph")))
        return joined(shown)
    except DagrowError as error:
        return joined([element("p", f"Not drawn: {error}", class_="warning"), _as_lists(run.graph)])


def _sizes_of_spaces(run: RunRecord) -> Markup:
    """Channels of each space at the start and after each insertion."""
    told = [event for event in run.of("start", "growth") if event["event"] == "start" or event.get("inserted")]
    names = list(dict.fromkeys(name for event in told for name in event.get("spaces") or ()))
    titles = [str(event.get("step", "start")) for event in told]
    rows: list[Sequence[Child]] = [
        (name, *(str((event.get("spaces") or {}).get(name, "-")) for event in told)) for name in names
    ]
    return table(("space", *titles), rows)


def _drawn(graph: GraphSpec) -> Markup:
    return picture(picture_bytes(History(graph), "svg", title="graph"), "the graph")


def _figure(caption: str, shown: Markup) -> Markup:
    return element("figure", element("figcaption", caption), element("div", shown, class_="scroll"))


def _as_lists(graph: GraphSpec) -> Markup:
    """The nodes and edges of the last graph, where nothing can be drawn."""
    dag = Dag.of(graph)
    rows: list[Sequence[Child]] = [
        (name, ", ".join(e.source for e in dag.incoming[name]), str(dag.size(name))) for name in dag.order
    ]
    return joined(
        [table(("node", "reads", "size"), rows, numbers_from=2), element("p", f"{cost(dag).parameters} parameters")]
    )


def _steps(run: RunRecord) -> Markup:
    """All candidates of each step, with gain and fate."""
    found = [_step(event) for event in run.of("growth", "removal")]
    return joined(found) if found else element("p", "There was no growth step.")


def _step(event: Event) -> Markup:
    plan = event.get("plan") or {}
    made = event.get("inserted") or event.get("removed")
    rows: list[Sequence[Child]] = []
    for entry in plan.get("candidates") or ():
        fate = "made" if entry == made else entry.get("rejected") or "not chosen"
        share = _solved(entry)
        rows.append(
            (
                entry.get("place"),
                entry.get("kind"),
                element("span", fate, class_="made") if fate == "made" else fate,
                str(entry.get("neurons")),
                *(number(entry.get(key)) for key in ("gain", "held_out_gain", "first_order_gain")),
                number(entry.get("amplitude"), 3),
                "-" if share is None else f"{100 * share:.1f} %",
                f"{entry.get('parameters', 0):+d}",
            )
        )
    header = (
        "place", "kind", "fate", "neurons", "gain", "held out", "first order", "amplitude", "bottleneck removed",
        "parameters",
    )  # fmt: skip
    fixed: list[Sequence[Child]] = [(entry.get("node"), entry.get("reason")) for entry in plan.get("fixed") or ()]
    loss = f"loss {number(plan.get('loss'), 6)}"
    parts = [
        element("summary", f"step {event['step']}, {event['event']}: {_what(event)}"),
        element("p", f"{loss} on {plan.get('samples', '?')} samples; best by {plan.get('where', '?')}"),
        table(header, rows, numbers_from=3) if rows else element("p", "no candidates"),
    ]
    if fixed:
        parts.append(table(("no place", "why"), fixed, numbers_from=2))
    return element("details", *parts)


def _bottlenecks(run: RunRecord) -> Markup:
    """Of the network as it is, if asked for; and of each place as the growth steps found it."""
    parts: list[Markup] = []
    if run.spot is not None:
        parts.append(element("h3", "Now"))
        try:
            parts.append(element("div", picture(run.spot.svg(), "bottlenecks by node"), class_="scroll"))
        except DagrowError as error:
            parts.append(element("p", f"Not drawn: {error}", class_="warning"))
        parts.append(text_block(str(run.spot)))
    else:
        parts.append(element("p", "That of the network as it is now: 'dagrow report DIR --spot' computes it."))
    places = list(dict.fromkeys(entry["place"] for _, entry in _with_bottleneck(run)))
    steps = list(dict.fromkeys(step for step, _ in _with_bottleneck(run)))
    known = {(step, entry["place"]): entry["bottleneck"] for step, entry in _with_bottleneck(run)}
    if places:
        parts.append(element("h3", "As growth steps found it"))
        parts.append(element("p", "Mean square of what the nodes that read a place lack, before the step."))
        rows: list[Sequence[Child]] = [
            (str(step), *(number(known.get((step, p)), 3) for p in places)) for step in steps
        ]
        parts.append(table(("step", *map(str, places)), rows))
    return joined(parts)


def _with_bottleneck(run: RunRecord) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for event in run.of("growth"):
        for entry in (event.get("plan") or {}).get("candidates") or ():
            if entry.get("bottleneck") is not None and entry.get("place") is not None:
                yield event["step"], entry


def _data(run: RunRecord) -> Markup:
    """Samples, inputs, columns, classes, and what is done to them."""
    started = next(iter(run.of("start")), {})
    rows: list[Sequence[Child]] = [("training samples", str(started.get("samples") or "?"))]
    for name, entry in (run.graph.inputs if run.graph is not None else {}).items():
        rows.append((f"input {name}", " × ".join(map(str, entry.shape))))
    if (found := run.preprocessing) is not None:
        for each in found.inputs:
            rows.append((f"done to {each.name}", ", ".join(step.kind for step in each.steps) or "nothing"))
        for title, names in (("columns", found.columns), ("classes", found.classes)):
            if names:
                rows.append((title, ", ".join(map(str, names))))
        if found.target:
            rows.append(("learned", found.target))
    return table(("", ""), rows, numbers_from=2)


def _configuration(run: RunRecord) -> Markup:
    """The run file, every default written out."""
    return text_block(run.run_file) if run.run_file else element("p", "There is no run.yaml.", class_="warning")


def _over(events: Sequence[Event], value: Callable[[Event], Any]) -> tuple[tuple[float, float | None], ...]:
    return tuple((float(event.get("epoch", 0)), value(event)) for event in events)


def _right(score: Mapping[str, Any] | None) -> Any:
    score = score or {}
    return score.get("accuracy") if score.get("accuracy") is not None else score.get("r2")


def _scores(event: Event) -> tuple[str, str, str]:
    test = event.get("test") or {}
    return number(event.get("train_loss")), number(test.get("loss")), number(_right(test))


def _sizes(event: Event) -> tuple[str, str]:
    parameters, work = (event.get(key) for key in ("parameters", "multiply_adds"))
    return tuple("-" if value is None else f"{value:,}" for value in (parameters, work))  # type: ignore[return-value]


def _what(event: Event) -> str:
    made = event.get("inserted") or event.get("removed")
    if not made:
        return str(event.get("reason") or "nothing")
    if event["event"] == "removal":
        return f"removed {made.get('place')}"
    neurons = made.get("neurons")
    return f"{made.get('place')} +{neurons}" if neurons else f"{made.get('place')} {made.get('kind')}"


def _solved(entry: Mapping[str, Any]) -> float | None:
    """The share of the bottleneck that new neurons take off, where the method's scores say so."""
    bottleneck, scores = entry.get("bottleneck"), entry.get("scores") or ()
    if not bottleneck or not scores or any(score is None for score in scores):
        return None
    share = sum(score**2 for score in scores) / bottleneck
    return share if 0 <= share <= 1 else None


SECTIONS: tuple[Section, ...] = (
    Section("summary", "Summary", _summary),
    Section("growth", "Growth over time", _growth),
    Section("graphs", "The graph, before and after", _graphs),
    Section("steps", "What was considered in each step", _steps),
    Section("bottlenecks", "Expressivity bottlenecks", _bottlenecks),
    Section("data", "Data", _data),
    Section("configuration", "Configuration", _configuration),
)
