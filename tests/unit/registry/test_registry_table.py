"""Registries: order, duplicates, names that are near, entries that come late."""

import pytest

from dagrow.errors import DagrowError, GrowthError
from dagrow.registry import Registry, plugins, registry, rollback_on_error, table


@pytest.fixture(autouse=True)
def no_plugins(monkeypatch):
    """Tables that are made end with the test; plugins of this machine are not looked for."""
    monkeypatch.setattr(table, "_TABLES", dict(table._TABLES))
    monkeypatch.setattr(plugins, "_BROKEN", [])


@pytest.fixture
def fruit():
    return Registry("apple", {"cox": 1, "gala": 2}, error=GrowthError, reserved=("none",))


def test_order_is_that_of_registration(fruit):
    fruit.add("boskop", 3)
    assert list(fruit) == ["cox", "gala", "boskop"]
    assert len(fruit) == 3
    assert fruit["boskop"] == fruit.find("boskop") == 3
    assert registry("apple") is fruit
    assert repr(fruit) == "Registry('apple': cox, gala, boskop)"


def test_a_name_has_one_entry(fruit):
    assert fruit.add("cox", 1) == 1
    for name in ("cox", "none"):
        with pytest.raises(DagrowError, match=rf"^an apple named '{name}' is registered already$"):
            fruit.add(name, 9)
    for name in ("", None, 3):
        with pytest.raises(DagrowError, match="the name of an apple is a text, not "):
            fruit.add(name, 9)
    assert dict(fruit) == {"cox": 1, "gala": 2}


def test_an_unknown_name_is_told_with_the_nearest_one(fruit):
    with pytest.raises(GrowthError) as caught:
        fruit.find("galla")
    assert str(caught.value) == "unknown apple 'galla' (did you mean 'gala'?); allowed: cox, gala"
    with pytest.raises(KeyError):
        fruit["galla"]
    assert "galla" not in fruit
    assert fruit.get("galla") is None


def test_no_two_registries_of_the_same(fruit):
    with pytest.raises(ValueError, match="there is a registry of 'apple' already"):
        Registry("apple")


def test_an_entry_may_come_when_it_is_asked_for(fruit, monkeypatch):
    asked = []

    def load():
        asked.append("")
        fruit._entries.setdefault("late", 7)
        return ["one is broken"]

    monkeypatch.setattr(table, "_LOADERS", [load])
    assert fruit["gala"] == 2
    assert "cox" in fruit
    assert not asked
    assert fruit["late"] == 7
    assert asked
    with pytest.raises(GrowthError, match=r"unknown apple 'x'; allowed: cox, gala, late; one is broken$"):
        fruit.find("x")


def test_all_registries_are_as_before_after_a_failure(fruit):
    def fail():
        with rollback_on_error():
            fruit.add("boskop", 3)
            del fruit["cox"]
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(fruit) == ["cox", "gala"]
    with rollback_on_error():
        fruit["cox"] = 5
    assert fruit["cox"] == 5
    with rollback_on_error() as restore:
        fruit["cox"] = 6
        restore()
    assert fruit["cox"] == 5
