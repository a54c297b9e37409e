"""Scaled dot-product attention."""

from __future__ import annotations

from dagrow.capture.rules.context import Context, Rule, together
from dagrow.capture.values import Value


def attention(context: Context) -> Value:
    """Queries ``[..., heads, tokens, d]``, keys and values likewise; with grouped keys, fewer heads of them."""
    q, k, v = (context.value(argument) for argument in context.node.args[:3])
    context.unify(q.dims[-1], k.dims[-1])
    context.unify(k.dims[-2], v.dims[-2])
    context.found.contracted.append(q.dims[-1])
    context.found.labels += [(q.dims[-1], "query_key"), (v.dims[-1], "value")]
    leading = []
    for axis in range(len(q.dims) - 2):
        dims = [each.dims[axis] for each in (q, k, v)]
        if dims[0].now.size == dims[1].now.size:
            leading.append(together(context, dims))
        else:
            context.unify(dims[1], dims[2])
            leading.append(dims[0])
    if len(q.dims) > 3:
        context.found.labels.append((q.dims[-3], "heads"))
    return Value((*leading, q.dims[-2], v.dims[-1]))


RULES: dict[str, Rule] = {"scaled_dot_product_attention": attention}
