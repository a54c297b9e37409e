"""Fields that take a name out of a registry: checked at validation, listed in the schema of that time."""

from typing import Annotated

import pytest
from pydantic import BaseModel, ValidationError

from dagrow.methods import METHODS, register_method
from dagrow.objectives import SCHEDULERS, Scheduler
from dagrow.ops import ACTIVATIONS, NORMS, Activation
from dagrow.planner import WHERE, register_selection
from dagrow.registry import Registry, one_of, plugins, rollback_on_error, table
from dagrow.spec import GrowthSpec, NodeSpec, run_schema
from dagrow.spec.run import SchedulerSpec
from dagrow.training.schedules import SCHEDULES


@pytest.fixture(autouse=True)
def no_plugins(monkeypatch):
    monkeypatch.setattr(table, "_TABLES", dict(table._TABLES))
    monkeypatch.setattr(plugins, "_BROKEN", [])
    with rollback_on_error() as restore:
        yield
        restore()


def refused(model, **fields):
    with pytest.raises(ValidationError) as caught:
        model(**fields)
    (found,) = caught.value.errors()
    return found["type"], found["msg"]


def test_a_field_asks_a_registry_that_is_filled_later():
    class Basket(BaseModel):
        apple: Annotated[str, one_of("apple", also=("none",), only=lambda entry: entry > 1)] = "none"

    fruit = Registry("apple", {"cox": 1, "gala": 2})
    assert Basket(apple="gala").apple == "gala"
    assert Basket(apple="none").apple == "none"
    assert refused(Basket, apple="cox") == ("unknown_name", "unknown apple 'cox'; allowed: none, gala")
    assert refused(Basket, apple="{galla}")[1] == "unknown apple '{galla}' (did you mean 'gala'?); allowed: none, gala"
    for value in (None, 3, ["gala"], {}):
        assert refused(Basket, apple=value)[1] == f"unknown apple {value!r}; allowed: none, gala"
    fruit.add("boskop", 3)
    assert Basket(apple="boskop").apple == "boskop"
    assert Basket.model_json_schema()["properties"]["apple"]["enum"] == ["none", "gala", "boskop"]


def test_several_tables_may_be_asked():
    first, second = Registry("apple", {"cox": 1}), Registry("pear", {"conference": 1})

    class Basket(BaseModel):
        fruit: Annotated[str, one_of(first, second, what="fruit")]

    assert Basket(fruit="conference").fruit == "conference"
    assert refused(Basket, fruit="plum")[1] == "unknown fruit 'plum'; allowed: cox, conference"


def test_what_is_registered_is_taken_by_specs_and_named_by_the_schema():
    register_selection("mine", lambda candidate, turn: 0.0)
    register_method("mine", lambda moments, request: None)
    SCHEDULES.add("mine", SCHEDULES["epochs"])
    NORMS.add("mine", NORMS["batch"])
    ACTIVATIONS.add("mine", Activation("mine", lambda z: z, lambda: None, ""))
    SCHEDULERS.add("mine", Scheduler(SCHEDULERS["step"].kind))
    growth = GrowthSpec(where="mine", method="mine", fallback_method="mine", schedule="mine", new_node={"norm": "mine"})
    assert growth.where == growth.fallback_method == "mine"
    assert NodeSpec(norm="mine", activation="mine").norm == "mine"
    assert SchedulerSpec(name="mine", step_size=3).options == {"step_size": 3}
    parts = run_schema()["$defs"]
    found = {name for name, part in parts.items() if "'mine'" in str(part)}
    assert found == {"GrowthSpec", "NodeSpec", "NewNodeSpec", "SchedulerSpec"}


def test_a_trial_training_follows_what_goes_by_gain():
    register_selection("mine", WHERE["gain"])
    assert GrowthSpec(where="mine", trial_training={}).where == "mine"
    message = (
        "'trial_training' chooses by what was gained: 'where' must be gain, gain_per_parameter, gain_per_mac, mine"
    )
    assert refused(GrowthSpec, where="round_robin", trial_training={})[1] == f"Value error, {message}"


def test_completions_are_the_methods_of_the_moment():
    register_method("mine", METHODS["random"])
    assert refused(GrowthSpec, fallback_method="tiny")[1].startswith(
        "unknown fallback method 'tiny'; allowed: none, nonlinear, "
    )
    assert refused(GrowthSpec, fallback_method="mined")[1].endswith(", mine")
