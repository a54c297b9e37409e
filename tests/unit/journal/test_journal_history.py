"""The growth of a run, read from its journal."""

import pytest
from zoo import chain

from dagrow.errors import RunError
from dagrow.journal import growth_history
from dagrow.report import GrowthStep
from dagrow.spec import plain_graph


def events():
    inserted = {"kind": "widen", "place": "h", "neurons": 3, "gain": 0.5, "held_out_gain": None}
    return [
        {"event": "start", "graph": plain_graph(chain(2)), "train_loss": 2.0},
        {"event": "epoch", "epoch": 1},
        {"event": "growth", "step": 1, "inserted": inserted, "graph": plain_graph(chain(5)), "train_loss": 1.0},
        {"event": "growth", "step": 2, "inserted": None, "reason": "nothing gains", "graph": plain_graph(chain(5))},
        {"event": "end", "graph": plain_graph(chain(5)), "train_loss": 0.5},
    ]


def test_the_start_and_each_step():
    found = growth_history(events())
    assert (found.start, found.end, found.first_loss, found.last_loss) == (chain(2), chain(5), 2.0, 0.5)
    assert found.steps == (GrowthStep(1, chain(5), "h +3", 0.5, None, 1.0), GrowthStep(2, chain(5), "nothing gains"))
    assert found.effects == (True, False)


def test_a_run_that_has_not_ended():
    found = growth_history(events()[:3])
    assert len(found.steps) == 1
    assert found.last_loss is None


@pytest.mark.parametrize("without", [0, 2, 3])
def test_a_journal_without_graphs(without):
    told = events()
    del told[without]["graph"]
    assert growth_history(told) is None
    assert growth_history([]) is None


def test_a_damaged_graph_is_told():
    told = events()
    told[2]["graph"]["nodes"]["h"] = {"size": "large"}
    with pytest.raises(RunError, match="the journal's 'growth' holds no graph: nodes / h / size"):
        growth_history(told)
