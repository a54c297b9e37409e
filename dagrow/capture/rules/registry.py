"""The table of rules. An operator that is not in it, and not pointwise, fixes all dimensions that it touches."""

from __future__ import annotations

from dagrow.capture.rules import attention, convolution, elementwise, join, linear, made, norm, pool, reduce, shape
from dagrow.capture.rules.context import Context, Rule

RULES: dict[str, Rule] = {
    **elementwise.RULES,
    **linear.RULES,
    **convolution.RULES,
    **norm.RULES,
    **shape.RULES,
    **join.RULES,
    **attention.RULES,
    **reduce.RULES,
    **pool.RULES,
    **made.RULES,
}


def find_rule(context: Context) -> Rule | None:
    """The rule of an operation; None where there is none."""
    rule = RULES.get(context.name)
    if rule is None and elementwise.is_elementwise(context):
        return elementwise.elementwise
    return rule
