"""Breaks long lines of generated code as ruff and black would, for the few forms that dagrow generates."""

from __future__ import annotations

import ast
from collections.abc import Sequence

WIDTH = 100
_STEP = 4


def tidy(expression: str) -> str:
    """One expression in canonical spacing on one line, strings in double quotes.

    Raises:
        SyntaxError: if the text is not exactly one expression.
    """
    text = ast.unparse(ast.parse(expression.strip(), mode="eval"))
    return text if '"' in text or "\\" in text else text.replace("'", '"')


def statement(prefix: str, expression: str, indent: int) -> list[str]:
    """Lines of ``prefix + expression``, where prefix is ``"h = "`` or ``"return "``."""
    line = " " * indent + prefix + expression
    if len(line) <= WIDTH:
        return [line]
    tree = ast.parse(expression, mode="eval").body
    if isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Add):
        return _sum(prefix, _terms(expression, tree), indent)
    if isinstance(tree, ast.Tuple):
        items = [_text(expression, item) for item in tree.elts]
        return _block(f"{prefix}(", items, ")", indent)
    if isinstance(tree, ast.Call) and len(f"{' ' * indent}{prefix}{_head(expression, tree)}") <= WIDTH:
        return _call(prefix, expression, tree, indent)
    return [" " * indent + prefix + "(", " " * (indent + _STEP) + expression, " " * indent + ")"]


def listing(prefix: str, items: Sequence[str], indent: int) -> list[str]:
    """Lines of ``prefix + tuple``, of one or more expressions; it may be long, and is not parsed."""
    line = f"{' ' * indent}{prefix}({', '.join(items)}{',' if len(items) == 1 else ''})"
    return [line] if len(line) <= WIDTH else _block(f"{prefix}(", items, ")", indent)


def signature(head: str, arguments: Sequence[str], tail: str, indent: int) -> list[str]:
    """Lines of ``head(arguments)tail``, for a ``def``."""
    line = f"{' ' * indent}{head}({', '.join(arguments)}){tail}"
    return [line] if len(line) <= WIDTH else _arguments(f"{head}(", arguments, f"){tail}", indent)


def _sum(prefix: str, terms: list[str], indent: int) -> list[str]:
    margin, calls = " " * indent, [ast.parse(term, mode="eval").body for term in terms]
    last = calls[-1]
    if len(terms) == 2 and isinstance(last, ast.Call):
        # A sum of two that ends in a call is broken inside a call where that is enough.
        if len(f"{margin}{prefix}{terms[0]} + {_head(terms[1], last)}") <= WIDTH:
            return _call(f"{prefix}{terms[0]} + ", terms[1], last, indent)
        if isinstance(calls[0], ast.Call):
            lines = _call(prefix, terms[0], calls[0], indent)
            return [*lines[:-1], f"{lines[-1]} + {terms[1]}"]
    inner = " " * (indent + _STEP)
    whole = inner + " + ".join(terms)
    body = [whole] if len(whole) <= WIDTH else [inner + terms[0], *(f"{inner}+ {term}" for term in terms[1:])]
    return [f"{margin}{prefix}(", *body, f"{margin})"]


def _call(prefix: str, expression: str, tree: ast.Call, indent: int) -> list[str]:
    arguments = [_text(expression, argument) for argument in (*tree.args, *tree.keywords)]
    return _arguments(prefix + _head(expression, tree), arguments, ")", indent)


def _arguments(head: str, arguments: Sequence[str], tail: str, indent: int) -> list[str]:
    """All arguments on one line of their own where they fit, else a line each."""
    inner = " " * (indent + _STEP) + ", ".join(arguments)
    if len(inner) <= WIDTH:
        return [" " * indent + head, inner, " " * indent + tail]
    return _block(head, arguments, tail, indent)


def _block(head: str, items: Sequence[str], tail: str, indent: int) -> list[str]:
    margin = " " * (indent + _STEP)
    lines = [" " * indent + head]
    for item in items:
        if len(margin + item) < WIDTH or not item.startswith("["):
            lines.append(f"{margin}{item},")
            continue
        tree = ast.parse(item, mode="eval").body
        inner = [_text(item, part) for part in tree.elts] if isinstance(tree, ast.List) else []
        lines += _block("[", inner, "],", indent + _STEP)
    return [*lines, " " * indent + tail]


def _terms(expression: str, tree: ast.expr) -> list[str]:
    """The summands of ``a + b + c``, from the left. Iterative: a node may have very many parents."""
    found: list[str] = []
    while isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Add):
        found.append(_text(expression, tree.right))
        tree = tree.left
    return [_text(expression, tree), *reversed(found)]


def _head(expression: str, tree: ast.Call) -> str:
    return f"{_text(expression, tree.func)}("


def _text(expression: str, tree: ast.AST) -> str:
    return ast.get_source_segment(expression, tree) or ""
