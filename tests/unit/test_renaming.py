"""Old names of arguments and attributes: taken with a warning that says the new one."""

import inspect

import pytest

from dagrow.methods import Method
from dagrow.planner.plan import Plan
from dagrow.renaming import renamed_keywords


def test_a_method_takes_its_old_arguments():
    with pytest.warns(FutureWarning, match=r"Method\(fills=\.\.\.\) was renamed to supports_empty_node=") as told:
        method = Method(len, fills=False)
    assert told[0].filename == __file__
    assert method == Method(len, supports_empty_node=False)
    assert "supports_empty_node" in inspect.signature(Method).parameters
    with pytest.raises(TypeError, match="deep"):
        Method(len, deep=True)


def test_a_function_takes_its_old_keywords():
    @renamed_keywords(completion="fallback_method")
    def look(method, *, fallback_method="nonlinear"):
        return method, fallback_method

    with pytest.warns(FutureWarning, match=r"look\(completion=\.\.\.\) was renamed to fallback_method="):
        assert look("tiny", completion="none") == ("tiny", "none")
    assert look("tiny", fallback_method="random") == ("tiny", "random")


def test_a_plan_has_its_old_attribute():
    plan = Plan((), 0.5, None, 3, "gain", not_growable=())
    with pytest.warns(FutureWarning, match=r"Plan\.fixed was renamed to Plan\.not_growable"):
        assert plan.fixed == ()
