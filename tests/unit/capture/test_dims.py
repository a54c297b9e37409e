"""Dimensions: unification cuts atoms where they must be cut, and places of old entries follow views, concats, packs."""

import pytest
import torch

from dagrow.capture.dims import Dim, atoms, concat, fix, product, unify
from dagrow.capture.places import extent, new_extent, places


def test_an_atom_becomes_what_it_is_unified_with():
    atom, heads, size = Dim(12), Dim(3), Dim(4)
    unify(atom, product([heads, size]), "view")
    assert atoms(atom) == [heads, size]
    assert places(atom, {size: 1}).old.tolist() == [0, 1, 2, 3, -1, 4, 5, 6, 7, -1, 8, 9, 10, 11, -1]
    assert places(atom, {heads: 1}).old.tolist() == [*range(12), -1, -1, -1, -1]


def test_two_concats_are_cut_at_the_borders_of_both():
    a, b, c, d = Dim(2), Dim(5), Dim(4), Dim(3)
    unify(concat([a, b]), concat([c, d]), "cat")
    assert [atom.size for atom in atoms(c)] == [2, 2]
    assert atoms(c)[0] is a
    assert [atom.size for atom in atoms(b)] == [2, 3]


def test_two_products_are_cut_at_the_factors_of_both():
    a, b = Dim(6), Dim(4)
    unify(product([a, b]), product([Dim(2), Dim(3), Dim(4)]), "view")
    assert [atom.size for atom in atoms(a)] == [2, 3]


def test_what_cannot_be_cut_is_fixed_with_the_reason():
    a, b = Dim(6), Dim(4)
    unify(product([a, b]), product([Dim(4), Dim(6)]), "view in h")
    assert all(any("view in h" in reason for reason in dim.reasons) for dim in (a, b))


def test_packed_parts_are_one_behind_the_other():
    heads, size = Dim(2), Dim(3)
    packed, q = product([Dim(3), heads, size]), Dim(6)
    unify(packed, concat([q, Dim(6), Dim(6)]), "split")
    assert atoms(q) == [heads, size]
    found = places(packed, {size: 1})
    assert found.old.tolist() == [x for p in range(6) for x in (3 * p, 3 * p + 1, 3 * p + 2, -1)]
    assert found.part.tolist() == [p for p in range(3) for _ in range(8)]


def test_reasons_follow_a_binding():
    a, b = Dim(4), Dim(4)
    fix(a, "it is an input")
    unify(a, b, "add")
    assert b.reasons == {"it is an input": None}


@pytest.mark.parametrize("grown", [0, 1])
def test_places_and_extents_agree(grown):
    a, b, c = Dim(2), Dim(3), Dim(2)
    dim = concat([product([a, b]), c, a])
    growth = {(a, c)[grown]: 2}
    found = places(dim, growth)
    assert len(found.old) == extent(dim, growth)
    assert int(found.new.sum()) == new_extent(dim, growth) == extent(dim, growth) - dim.size
    assert found.old[found.moved].tolist() == list(range(dim.size))
    assert torch.equal(found.old[found.old >= 0], torch.arange(dim.size))
