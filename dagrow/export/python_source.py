"""The network as a person would write it: one ``nn.Module`` in one file."""

from __future__ import annotations

import textwrap

from dagrow.data import InputPreprocessing, Preprocessing
from dagrow.export.identifiers import class_name, plain_title
from dagrow.export.layers import CLASSES, Names, names_of
from dagrow.export.layout import WIDTH, listing, signature, statement, tidy
from dagrow.export.subject import step_buffers
from dagrow.graph import Dag, cost
from dagrow.layout import Shape
from dagrow.stages import used_stages

MARK = "grown by dagrow"
"""Stands in the first line of every exported file; such a file may be overwritten by the next export."""

# More calls inside each other than this are hard to read; then the value is given its name first.
_MOST_CALLS = 3
# Python's parser recurses over the terms of a sum.
_MOST_TERMS = 32


def model_source(dag: Dag, name: str, preprocessing: Preprocessing | None = None) -> str:
    """Python source that defines the network, formatted, importing nothing but torch.

    Args:
        dag: the network's DAG.
        name: of the run; the class is named after it.
        preprocessing: what the class does to its inputs first; with None it reads what the network reads.

    Raises:
        ExportError: if the export line of an op, norm, activation or pool is not a Python expression.
    """
    names = names_of(dag, preprocessing)
    lines = [
        *_docstring(dag, name, preprocessing),
        "",
        "import torch",
        "from torch import nn",
        "",
        "",
        f"class {class_name(name)}(nn.Module):",
        *_classes(preprocessing),
        "    def __init__(self) -> None:",
        "        super().__init__()",
        *_buffers(preprocessing, names),
        *_layers(dag, names),
        "",
        *_Forward(dag, names, preprocessing).lines(),
    ]
    return "\n".join(lines) + "\n"


def _docstring(dag: Dag, name: str, preprocessing: Preprocessing | None) -> list[str]:
    def described(nodes: tuple[str, ...]) -> str:
        return ", ".join(f"{node} {list(dag.output(node).stored)}" for node in nodes)

    count = cost(dag).parameters
    facts = (
        f"{described(tuple(dag.spec.inputs))} -> {described(dag.spec.outputs)}, "
        f"{count:,} parameter{'' if count == 1 else 's'}."
    )
    usage = [] if preprocessing is None else _usage(name, preprocessing)
    line = f'"""{plain_title(name)}, {MARK}: {facts}'
    if len(line) + 3 <= WIDTH:
        return [line, *usage, '"""'] if usage else [f'{line}"""']
    wrapped = textwrap.wrap(facts, WIDTH, break_long_words=False, break_on_hyphens=False)
    return [f'"""{plain_title(name)}, {MARK}.', "", *wrapped, *usage, '"""']


def _usage(name: str, preprocessing: Preprocessing) -> list[str]:
    """How to load the class, and what goes in."""
    dtypes = [str(entry.dtype).removeprefix("torch.") for entry in preprocessing.inputs]
    facts = (
        f"It reads raw values ({', '.join(dtypes)}), as they were in the training data. "
        f"Its outputs are {preprocessing.objective.meaning}."
    )
    if preprocessing.reader is not None and preprocessing.reader.told:
        facts = f"{facts} {preprocessing.reader.told}"
    if preprocessing.classes:
        facts += f" The names of the labels are {class_name(name)}.{CLASSES}."
    return [
        "",
        *textwrap.wrap(facts, WIDTH, break_long_words=False, break_on_hyphens=False),
        "",
        "    from safetensors.torch import load_file",
        "",
        f"    model = {class_name(name)}().eval()",
        '    model.load_state_dict(load_file("weights.safetensors"))',
    ]


def _classes(preprocessing: Preprocessing | None) -> list[str]:
    """The names of the labels, as an attribute of the class."""
    if preprocessing is None or not preprocessing.classes:
        return []
    return [*listing(f"{CLASSES} = ", [tidy(repr(name)) for name in preprocessing.classes], 4), ""]


def _buffers(preprocessing: Preprocessing | None, names: Names) -> list[str]:
    """The fitted values of the preprocessing, which come with the weights."""
    lines = []
    for key, value in step_buffers(preprocessing):
        form = f"{list(value.shape)}, dtype={value.dtype}".replace("[]", "()")
        lines += statement("", f'self.register_buffer("{names.buffers[key]}", torch.ones({form}))', 8)
    return [*lines, ""] if lines else []


def _layers(dag: Dag, names: Names) -> list[str]:
    groups = [[layer for layer in names.layers if layer.node == node] for node in dag.order]
    groups = [group for group in groups if group]
    lines: list[str] = []
    before = 0
    for group in groups:
        # A node with several layers is set apart; a row of single layers is not.
        if before and max(before, len(group)) > 1:
            lines.append("")
        for layer in group:
            lines += statement(f"self.{layer.attribute} = ", layer.expression, 8)
        before = len(group)
    return lines


class _Forward:
    """Writes ``forward``, node by node."""

    def __init__(self, dag: Dag, names: Names, preprocessing: Preprocessing | None) -> None:
        self.dag = dag
        self.preprocessing = preprocessing
        self.buffers = names.buffers
        self.values = names.values
        self.attributes = names.attributes()
        self.body: list[str] = []

    def lines(self) -> list[str]:
        outputs = self.dag.spec.outputs
        for entry in () if self.preprocessing is None else self.preprocessing.inputs:
            self._prepare(entry)
        for name in self.dag.order[:-1]:
            self._write(f"{self.values[name]} = ", name)
        last = self.dag.order[-1]
        if outputs == (last,):
            self._write("return ", last)
        else:
            self._write(f"{self.values[last]} = ", last)
            self.body += statement("return ", ", ".join(self.values[name] for name in outputs), 8)
        arguments = ["self", *(f"{self.values[name]}: torch.Tensor" for name in self.dag.spec.inputs)]
        return [*signature("def forward", arguments, f" -> {_returned(len(outputs))}:", 4), *self.body]

    def _prepare(self, entry: InputPreprocessing) -> None:
        """The statements that turn raw values of an input into what the network reads."""
        value = self.values[entry.name]
        lines = [] if entry.steps or entry.as_they_are else [f"{value}.float()"]
        for number, step in enumerate(entry.steps):
            buffers = {name: f"self.{self.buffers[entry.name, number, name]}" for name in step.buffers}
            lines += step.source(value, buffers)
        for line in lines:
            self.body += statement(f"{value} = ", line, 8)

    def _write(self, prefix: str, name: str) -> None:
        """The statements of one node; the last one starts with ``prefix``."""
        value = self.values[name]
        expression, calls = self._merged(name)
        for template in self._own(name):
            nested = template.format(expression)
            if calls == _MOST_CALLS or len(f"        {prefix}{nested}") > WIDTH:
                self.body += statement(f"{value} = ", expression, 8)
                nested, calls = template.format(value), 0
            expression, calls = nested, calls + 1
        lines = statement(prefix, expression, 8)
        comment = self._comment(name)
        if len(lines) == 1 and len(lines[0]) + len(comment) <= WIDTH:
            lines[0] += comment
        self.body += lines

    def _merged(self, name: str) -> tuple[str, int]:
        """The expression that merges the edges into a node, and how many calls it counts for."""
        terms = []
        for edge in self.dag.incoming[name]:
            source, key = self.values[edge.source], f"{name}.from_{edge.source}"
            if key in self.attributes:
                source = self.dag.op(edge).export_call.format(f"self.{self.attributes[key]}", source)
            terms.append(source)
        if len(terms) == 1:
            return terms[0], int(terms[0].endswith(")"))
        if self.dag.node(name).merge == "concat":
            return f"torch.cat([{', '.join(terms)}], dim={self.dag.merged(name).batch_axis})", 2
        value, sign = self.values[name], " * " if self.dag.node(name).merge == "multiply" else " + "
        while len(terms) > _MOST_TERMS:
            self.body += statement(f"{value} = ", sign.join(terms[:_MOST_TERMS]), 8)
            terms = [value, *terms[_MOST_TERMS:]]
        return sign.join(terms), 2

    def _own(self, name: str) -> list[str]:
        """What a node does to its merged value, in order; ``{}`` stands for the value."""
        node, steps = self.dag.node(name), []
        for stage, shape in used_stages(node, self.dag.merged(name)):
            if stage.export_line(node, shape) is not None:
                steps.append(self._layer(name, stage.name))
            elif stage.has_layer(node, shape):
                steps.append(stage.template(node))
            steps += [call.template for call in stage.calls(node, shape)]
        return steps

    def _layer(self, name: str, part: str) -> str:
        return f"self.{self.attributes[f'{name}.{part}']}({{}})"

    def _comment(self, name: str) -> str:
        """The shape of a node's value, where the layers do not say it."""
        shape = self.dag.output(name)
        sources = [self.dag.output(edge.source) for edge in self.dag.incoming[name]]
        plain = not any(values.positions for values in (shape, *sources))
        told = plain and self.dag.node(name).merge == "sum"
        return "" if told else f"  # {_shape(shape)}"


def _shape(shape: Shape) -> str:
    return f"[batch, {', '.join(map(str, shape))}]"


def _returned(count: int) -> str:
    if count == 1:
        return "torch.Tensor"
    return f"tuple[{', '.join(['torch.Tensor'] * count)}]" if count <= 3 else "tuple[torch.Tensor, ...]"
