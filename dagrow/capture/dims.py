"""Dimensions of tensors as expressions over channel spaces, and their unification.

A dimension is an atom, a product (what a view flattens; heads times head size) or a concatenation (what ``cat`` joins
and ``split`` cuts). Rules of operators unify dimensions; the atoms that are left are the channel spaces.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

PACKED = "it counts packed parts"

Kind = Literal["atom", "product", "concat"]


class Dim:
    """One dimension: an atom, a product or a concatenation of others; it may later be bound to another one.

    Args:
        size: its extent.
        kind: of expression.
        parts: of a product or concatenation, slowest first.

    Attributes:
        reasons: why an atom cannot grow, in the order found; a dict is used as an ordered set.
        packed: whether it counts the parts of a packed tensor, as the 3 of query, key and value.
    """

    __slots__ = ("_bound", "kind", "packed", "parts", "reasons", "size")

    def __init__(self, size: int, kind: Kind = "atom", parts: Sequence[Dim] = ()) -> None:
        self.size, self.kind, self.parts = int(size), kind, tuple(parts)
        self._bound: Dim | None = None
        self.reasons: dict[str, None] = {}
        self.packed = False

    @property
    def now(self) -> Dim:
        """What it is bound to by now; itself if to nothing."""
        dim = self
        while dim._bound is not None:
            dim = dim._bound
        return dim

    def bind(self, other: Dim) -> None:
        """An atom becomes another dimension of the same extent."""
        if self is other or self in atoms(other):
            return
        self._bound = other
        for reason in self.reasons:
            fix(other, reason)
        if self.packed:
            other.packed = True

    def __repr__(self) -> str:
        dim = self.now
        if dim.kind == "atom":
            return str(dim.size)
        sign = "*" if dim.kind == "product" else "+"
        return "(" + sign.join(map(repr, dim.parts)) + ")"


def product(parts: Iterable[Dim]) -> Dim:
    """The dimension of all tuples of entries, the first part slowest; parts of extent 1 are left out."""
    flat = _flat(parts, "product")
    kept = [part for part in flat if part.size != 1] or flat[:1]
    if not kept:
        return Dim(1)
    return kept[0] if len(kept) == 1 else Dim(math.prod(part.size for part in kept), "product", kept)


def concat(parts: Iterable[Dim]) -> Dim:
    """The dimension of all entries of the parts, one part behind the other."""
    flat = [part for part in _flat(parts, "concat") if part.size != 0]
    if not flat:
        return Dim(0)
    return flat[0] if len(flat) == 1 else Dim(sum(part.size for part in flat), "concat", flat)


def _flat(parts: Iterable[Dim], kind: Kind) -> list[Dim]:
    flat: list[Dim] = []
    for part in (part.now for part in parts):
        flat += [inner.now for inner in part.parts] if part.kind == kind else [part]
    return flat if all(part.kind != kind for part in flat) else _flat(flat, kind)


def atoms(dim: Dim) -> list[Dim]:
    """The atoms in a dimension, each as often as it occurs."""
    dim = dim.now
    return [dim] if dim.kind == "atom" else [atom for part in dim.parts for atom in atoms(part)]


def fix(dim: Dim, reason: str) -> None:
    """Says why a dimension, and every atom in it, keeps its extent."""
    for atom in atoms(dim):
        atom.reasons[reason] = None


def unify(one: Dim, other: Dim, where: str) -> None:
    """Makes two dimensions the same, cutting atoms where the other is cut; where that cannot be, both are fixed.

    Args:
        one: a dimension.
        other: of the same extent.
        where: the operation that asks for it, for the reason.
    """
    one, other = one.now, other.now
    if one is other:
        return
    if one.size != other.size:
        for dim in (one, other):
            fix(dim, f"{where} reads it at two extents")
    elif one.kind == "atom":
        one.bind(other)
    elif other.kind == "atom":
        other.bind(one)
    elif one.kind == other.kind == "concat":
        _unify_concats(one, other, where)
    elif one.kind == other.kind:
        _unify_products(one, other, where)
    else:
        _unify_packed(*((one, other) if one.kind == "product" else (other, one)), where)


def _unify_concats(one: Dim, other: Dim, where: str) -> None:
    left, right = _flat(one.parts, "concat"), _flat(other.parts, "concat")
    while left and right:
        a, b = left.pop(0).now, right.pop(0).now
        if a.size == b.size:
            unify(a, b, where)
            continue
        if a.size < b.size:
            (a, b), (left, right) = (b, a), (right, left)
        if a.kind == "concat":
            left, right = [*a.parts, *left], [b, *right]
        elif a.kind == "atom" and a not in atoms(b):
            rest = Dim(a.size - b.size)
            a.bind(concat([b, rest]))
            left.insert(0, rest)
        else:
            _fix_all([a, b, *left, *right], f"it is cut in two ways ({where})")
            return


def _unify_products(one: Dim, other: Dim, where: str) -> None:
    left, right = _flat(one.parts, "product"), _flat(other.parts, "product")
    while left and right:
        a, b = left.pop(0).now, right.pop(0).now
        if a.size == b.size:
            unify(a, b, where)
            continue
        if a.size < b.size:
            (a, b), (left, right) = (b, a), (right, left)
        if a.kind == "product":
            left, right = [*a.parts, *left], [b, *right]
        elif a.kind == "atom" and a.size % b.size == 0 and a not in atoms(b):
            rest = Dim(a.size // b.size)
            a.bind(product([b, rest]))
            left.insert(0, rest)
        else:
            _fix_all([a, b, *left, *right], f"it is viewed in two ways ({where})")
            return


def _unify_packed(whole: Dim, parts: Dim, where: str) -> None:
    """A product against a concatenation: the same where equal parts are packed behind one another."""
    count, *inner = _flat(whole.parts, "product")
    pieces = _flat(parts.parts, "concat")
    if count.kind == "atom" and count.size == len(pieces) and len({piece.size for piece in pieces}) == 1:
        fix(count, PACKED)
        count.packed = True
        for piece in pieces:
            unify(piece, product(inner), where)
        return
    _fix_all([whole, parts], f"it is packed in two ways ({where})")


def _fix_all(dims: Iterable[Dim], reason: str) -> None:
    for dim in dims:
        fix(dim, reason)
