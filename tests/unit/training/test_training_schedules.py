"""When growth steps come, what they are about, how new weights warm up and how batches grow."""

import copy
import itertools

import pytest
import torch

import dagrow
from dagrow.graph import Dag, cost
from dagrow.spec import RunSpec
from dagrow.training.progress import Progress
from dagrow.training.sample_sizes import training_batch
from dagrow.training.schedules import SCHEDULES, SCOPES, Unit, after_growth, after_training, gradient_steps, next_unit
from dagrow.training.warm_up import WarmUp

GRAPH = {
    "inputs": {"x": {"shape": [4]}},
    "nodes": {"h1": {"size": 2, "activation": "relu"}, "h2": {"size": 2, "activation": "relu"}, "y": {"size": 3}},
    "edges": {"x -> h1": "linear", "h1 -> h2": "linear", "h2 -> y": "linear"},
    "outputs": ["y"],
}


def run(training=None, **growth):
    growth = {"budget": {"steps": 3}, **growth}
    return RunSpec(graph=GRAPH, data={"dataset": "iris"}, training=training or {}, growth=growth)


def units(spec, losses=(), places=1, gained=True):
    """The whole run as one letter per unit: t for training, g for growth."""
    done, found, losses = Progress(started=True), "", iter(losses)
    while (unit := next_unit(spec, done)) is not Unit.END:
        found += "t" if unit is Unit.EPOCH else "g"
        growing = unit is Unit.GROWTH
        done = after_growth(spec, done, gained, places) if growing else after_training(spec, done, next(losses, 1.0))
    return found


def test_after_so_many_passes():
    assert units(run({"epochs_between_growth": 2, "final_epochs": 1})) == "ttgttgttgt"
    assert units(run({"epochs_between_growth": 0, "final_epochs": 0})) == "ggg"


def test_after_so_many_gradient_steps():
    assert units(run({"epochs_between_growth": 0, "final_epochs": 2}, schedule="steps")) == "tgtgtgtt"


def test_where_training_gets_no_further():
    spec = run({"epochs_between_growth": 2, "final_epochs": 0}, schedule="plateau", plateau=0.1, budget={"steps": 2})
    # The first pass always counts; 0.95 of the lowest does not; after growth, the lowest is forgotten.
    assert units(spec, [8, 4, 3.8, 3.0, 2.9, 2.8, 9, 9, 9]) == "ttttttgtttg"


def test_where_the_loss_on_validation_samples_falls_no_further():
    """Recomputed from the journal: growth follows the first score that is not below the lowest since growth."""
    training = {
        "validation_fraction": 0.3,
        "optimizer": {"name": "adam", "lr": 0.05},
        "batch_size": 16,
        "final_epochs": 0,
    }
    spec = run(
        training, schedule="validation", plateau=0, insert="zero_fan_out_unscaled", budget={"steps": 3}, patience=9
    )
    lowest, falls, found = float("inf"), True, []
    for event in dagrow.grow(spec, write=False).events:
        if event["event"] == "growth":
            found.append(falls)
            lowest = float("inf")
        elif event["event"] == "validation":
            falls = event["score"]["loss"] < lowest
            lowest = min(lowest, event["score"]["loss"])
    assert found == [False] * 3


def test_all_places_in_a_row_or_one_at_a_time():
    training = {"epochs_between_growth": 1, "final_epochs": 0}
    assert units(run(training, scope="every_node", budget={"steps": 6}), places=3) == "tgggtggg"
    assert units(run(training, scope="round_robin"), places=3) == "tgtgtg"


def test_several_steps_in_a_row():
    training = {"epochs_between_growth": 1, "final_epochs": 0}
    row = {"insertions_per_step": 2, "budget": {"steps": 8}}
    assert units(run(training, **row)) == "tggtggtggtgg"
    assert units(run(training, scope="round_robin", **row), places=3) == "tggtggtggtgg"
    assert units(run(training, scope="every_node", **row), places=3) == "tggggggtgg"
    # What found nothing about all places would find nothing again, and ends its row.
    assert units(run(training, patience=2, **row), gained=False) == "tgtg"


def test_firefly_gives_its_neurons_to_several_places():
    training = {"epochs_between_growth": 1, "final_epochs": 0, "optimizer": {"name": "adam", "lr": 0.01}}
    spec = run(training, method="firefly", neurons=1, insertions_per_step=6, budget={"steps": 6}, significance=0)
    spec = spec.model_copy(update={"seed": 1})
    events = [event for event in dagrow.grow(spec, write=False).events if event["event"] in ("epoch", "growth")]
    assert [event["event"] for event in events] == ["epoch"] + ["growth"] * 6
    placed = [event["inserted"]["place"] for event in events[1:]]
    assert set(placed) == {"h1", "h2"}
    for event in events[1:]:
        # Whichever place gains most, of the network as the step before has left it.
        found = event["plan"]["candidates"]
        assert event["inserted"]["held_out_gain"] == max(c["held_out_gain"] or 0 for c in found)


def test_patience_counts_rounds():
    training = {"epochs_between_growth": 1, "final_epochs": 0}
    many = {"patience": 2, "budget": {"steps": 50}}
    assert units(run(training, **many), gained=False) == "tgtg"
    assert units(run(training, scope="round_robin", **many), places=3, gained=False) == "tg" * 6
    still = {"epochs_between_growth": 0, "final_epochs": 0}
    assert units(run(still, scope="every_node", **many), places=3, gained=False) == "ggg"


def test_tables_and_fields_agree():
    for name, table in (("schedule", SCHEDULES), ("scope", SCOPES)):
        for value in table:
            assert getattr(run({"epochs_between_growth": 1}, **{name: value}).growth, name) == value


@pytest.mark.parametrize(
    ("scope", "expected"), [("round_robin", ["h1", "h2", "h1", "h2"]), ("every_node", ["h1", "h2"] * 2)]
)
def test_places_take_turns(scope, expected):
    growth = {"neurons": 1, "shrinkage": 0, "held_out": 0, "significance": 0, "method": "random"}
    spec = run({"final_epochs": 0}, scope=scope, budget={"steps": 4}, patience=9, **growth)
    result = dagrow.grow(spec, write=False)
    steps = [event for event in result.events if event["event"] == "growth"]
    assert [step["plan"]["candidates"][0]["place"] for step in steps] == expected


def test_gradient_steps_go_over_the_end_of_a_pass():
    training = {"steps_between_growth": 7, "batch_size": 50, "final_epochs": 1}
    result = dagrow.grow(run(training, schedule="steps", budget={"steps": 1}, method="random"), write=False)
    # 120 samples are batches of 50, 50 and 20.
    assert [event["samples"] for event in result.events if event["event"] == "epoch"] == [2 * 120 + 50, 120]


@pytest.mark.parametrize(("most", "samples"), [(2, [100, 100, 120]), (3, [120] * 3), (99, [120] * 3)])
def test_a_part_of_a_pass_where_it_is_long(most, samples):
    """By default; the final passes are whole. A pass that is short is the very one of ``epochs``."""
    training = {"epochs_between_growth": 2, "steps_between_growth": most, "batch_size": 50, "final_epochs": 1}
    auto, epochs = (
        dagrow.grow(run(training, **schedule, budget={"steps": 1}, method="random"), write=False)
        for schedule in ({}, {"schedule": "epochs"})
    )
    assert [event["samples"] for event in auto.events if event["event"] == "epoch"] == samples
    same = all(
        torch.equal(one, other) for one, other in zip(auto.model.parameters(), epochs.model.parameters(), strict=False)
    )
    assert same == (most > 2)


def test_passes_stay_whole_where_units_come():
    """Their rates are by passes."""
    short = {"epochs_between_growth": 1, "steps_between_growth": 1, "batch_size": 50}
    assert gradient_steps(run(short), Progress(), 3) == 1
    assert gradient_steps(run(short, continuous_growth={}), Progress(), 3) == 3


def test_batches_grow_with_the_root_of_the_parameters():
    sizes = [2, 5, 9, 17]
    graphs = [{**GRAPH, "nodes": {**GRAPH["nodes"], "h1": {"size": size, "activation": "relu"}}} for size in sizes]
    dags = [Dag.of(RunSpec(graph=graph, data={"dataset": "iris"}).graph) for graph in graphs]
    spec, still = run({"batch_size": 32, "scale_batch_size": True}), run({"batch_size": 32})
    batch = 32.0
    for before, after in itertools.pairwise(dags):
        batch *= (cost(after).parameters / cost(before).parameters) ** 0.5
        assert training_batch(spec, after) == round(batch)
        assert training_batch(still, after) == 32


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
    "adam": lambda p: torch.optim.Adam(p, lr=0.1),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.1),
}


def train(model, optimizer, step, count, seed):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        x, y = torch.rand(20, 4, generator=generator).double(), torch.randint(3, (20,), generator=generator)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        step()


def grown(make):
    """A network that has been trained and has grown, with its optimizer."""
    bent = {name: {**node, "activation": "tanh"} if name != "y" else node for name, node in GRAPH["nodes"].items()}
    model = dagrow.build(dagrow.GraphSpec.model_validate({**GRAPH, "nodes": bent}), seed=0).double()
    optimizer = make(model.parameters())
    train(model, optimizer, WarmUp(optimizer, 4, grown=False).step, 3, seed=1)
    x, y = torch.rand(60, 4).double(), torch.randint(3, (60,))
    options = {"nodes": ["h1"], "neurons": 2, "significance": 0, "shrinkage": 0}
    plan = dagrow.propose(model, torch.nn.functional.cross_entropy, [(x, y)], **options)
    dagrow.apply(model, plan.best, optimizer)
    assert model.spec.nodes["h1"].size == 4
    return model, optimizer


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_new_weights_take_a_growing_share_of_the_step_and_old_ones_all_of_it(name):
    torch.manual_seed(0)
    model, optimizer = grown(OPTIMIZERS[name])
    for number in range(1, 7):
        twin = copy.deepcopy(model)
        # The plain step from the very same state.
        other = OPTIMIZERS[name](twin.parameters())
        other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        before = {key: value.clone() for key, value in model.state_dict().items()}
        train(twin, other, other.step, 1, seed=number)
        train(model, optimizer, WarmUp(optimizer, 4, grown=True).step, 1, seed=number)
        share = min(1.0, number / 4)
        for key, value in model.state_dict().items():
            plain, start = twin.state_dict()[key], before[key]
            where_new = _new_part(value)
            expected = torch.where(where_new, start + share * (plain - start), plain)
            torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-14)
            assert torch.equal(value[~where_new], plain[~where_new])


def _new_part(value):
    """h1 went from 2 to 4 features: rows and bias of the edge into it, columns of the one out of it."""
    new = torch.zeros_like(value, dtype=torch.bool)
    if value.shape in ((4, 4), (4,)):
        new[2:] = True
    elif value.shape == (2, 4):
        new[:, 2:] = True
    return new


def test_without_warm_up_nothing_is_different():
    torch.manual_seed(0)
    model, optimizer = grown(OPTIMIZERS["adam"])
    twin = copy.deepcopy(model)
    other = OPTIMIZERS["adam"](twin.parameters())
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    train(model, optimizer, WarmUp(optimizer, 0, grown=True).step, 3, seed=5)
    train(twin, other, other.step, 3, seed=5)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))
