"""Linear maps and products of matrices."""

from __future__ import annotations

from dagrow.capture.dims import Dim, fix
from dagrow.capture.rules.context import VOCABULARY, Context, NoRule, Rule, together
from dagrow.capture.values import Role, Value


def linear(context: Context) -> Value:
    """``x W^T + b``."""
    x, weight = context.value(context.node.args[0]), context.value(context.node.args[1])
    context.read(weight, 1, x.dims[-1])
    context.use(weight, 0, Role.WRITE)
    if context.has(bias := context.argument(2, "bias")):
        _bias(context, context.value(bias), weight.dims[0])
    return Value((*x.dims[:-1], weight.dims[0]))


def addmm(context: Context) -> Value:
    """``b + x W``."""
    bias, x, weight = (context.value(argument) for argument in context.node.args[:3])
    result = _product(context, x, weight)
    if bias.dims:
        _bias(context, bias, result.dims[-1])
    return result


def matmul(context: Context) -> Value:
    """A product of two matrices, or of batches of them."""
    x, y = (context.value(argument) for argument in context.node.args[:2])
    return _product(context, x, y)


def baddbmm(context: Context) -> Value:
    """``a + x y``."""
    added, x, y = (context.value(argument) for argument in context.node.args[:3])
    result = _product(context, x, y)
    dims = tuple(together(context, pair) for pair in zip(result.dims, added.dims, strict=False))
    return Value(dims) if len(added.dims) == len(result.dims) else result


def einsum(context: Context) -> Value:
    """Sums of products, as the equation says; letters are dimensions."""
    equation, operands = context.node.args[0], context.node.args[1]
    assert isinstance(equation, str)
    assert isinstance(operands, (list, tuple))
    left, _, right = equation.replace(" ", "").partition("->")
    terms, values = left.split(","), context.tensors(list(operands))
    if "." in equation or not right or len(terms) != len(values) or len(terms) > 2:
        raise NoRule
    dims: dict[str, Dim] = {}
    for term, value in zip(terms, values, strict=True):
        for letter, dim in zip(term, value.dims, strict=True):
            if letter in dims:
                context.unify(dims[letter], dim)
            dims.setdefault(letter, dim)
    summed = [letter for letter in dims if letter not in right]
    for term, value in zip(terms, values, strict=True):
        for axis, letter in enumerate(term):
            shared = all(letter in other for other in terms)
            context.use(value, axis, Role.READ if letter in summed else Role.SCALE if shared else Role.WRITE)
    if len(values) == 2 and all(value.source is None for value in values):
        context.found.contracted += [dims[letter] for letter in summed]
    return Value(tuple(dims[letter] for letter in right))


def _product(context: Context, x: Value, y: Value) -> Value:
    inner = y.dims[-2] if len(y.dims) > 1 else y.dims[0]
    if y.source is not None:
        context.read(y, -2 if len(y.dims) > 1 else 0, x.dims[-1])
        if len(y.dims) > 1:
            context.use(y, -1, Role.WRITE)
    elif x.source is not None:
        context.read(x, -1, inner)
        if len(x.dims) > 1:
            context.use(x, -2, Role.WRITE)
    else:
        context.unify(x.dims[-1], inner)
        context.found.contracted.append(inner)
    rows, columns = x.dims[:-1][-1:], y.dims[-1:] if len(y.dims) > 1 else ()
    rank = len(context.shape) - len(rows) - len(columns)
    batch = []
    for axis in range(rank):
        found = []
        for value in (x, y):
            own = len(value.dims) - 2 - rank + axis
            if own >= 0:
                found.append(value.dims[own])
        batch.append(together(context, found))
    return Value((*batch, *rows, *columns))


def _bias(context: Context, bias: Value, dim: Dim) -> None:
    context.unify(bias.dims[-1], dim)
    context.use(bias, -1, Role.SHIFT)


def embedding(context: Context) -> Value:
    """Rows of a table."""
    table, index = context.value(context.node.args[0]), context.value(context.node.args[1])
    fix(table.dims[0], VOCABULARY)
    context.use(table, 1, Role.WRITE)
    return Value((*index.dims, table.dims[1]))


RULES: dict[str, Rule] = {
    "linear": linear,
    "addmm": addmm,
    "matmul": matmul,
    "mm": matmul,
    "bmm": matmul,
    "mv": matmul,
    "baddbmm": baddbmm,
    "einsum": einsum,
    "embedding": embedding,
}
