"""A run as a sequence of units is the double loop of Algorithms 9 and 11."""

from hypothesis import given, settings
from hypothesis import strategies as st

from dagrow.spec import RunSpec
from dagrow.training.progress import Progress
from dagrow.training.schedules import Unit, after_growth, after_training, next_unit

GRAPH = {
    "inputs": {"x": {"shape": [2]}},
    "nodes": {"h": {"size": 1}, "y": {"size": 2}},
    "edges": {"x -> h": "linear", "h -> y": "linear"},
    "outputs": "y",
}


def run_of(between: int, final: int, steps: int, patience: int, row: int = 1) -> RunSpec:
    training = {"epochs_between_growth": between, "final_epochs": final}
    growth = {"patience": patience, "insertions_per_step": row, "budget": {"steps": steps}}
    return RunSpec.model_validate({"graph": GRAPH, "training": training, "growth": growth})


def double_loop(run: RunSpec, gains: list[bool]) -> list[Unit]:
    """The loop as one writes it down."""
    found, dry = [Unit.START], 0
    row = 0
    for step in range(run.growth.budget.steps):
        if row == 0:
            found += [Unit.EPOCH] * run.training.epochs_between_growth
        found.append(Unit.GROWTH)
        row = (row + 1) % run.growth.insertions_per_step if gains[step] else 0
        dry = 0 if gains[step] else dry + 1
        if dry and (dry >= run.growth.patience or run.training.epochs_between_growth == 0):
            break
    return [*found, *[Unit.EPOCH] * run.training.final_epochs, Unit.END]


def unit_by_unit(run: RunSpec, gains: list[bool]) -> tuple[list[Unit], Progress]:
    found, done = [], Progress()
    while (unit := next_unit(run, done)) is not Unit.END:
        found.append(unit)
        match unit:
            case Unit.START:
                done = done.after_start()
            case Unit.EPOCH:
                done = after_training(run, done, 1.0)
            case Unit.GROWTH:
                done = after_growth(run, done, gains[done.step])
    return [*found, Unit.END], done


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 3),
    st.integers(0, 4),
    st.integers(0, 6),
    st.integers(1, 3),
    st.integers(1, 4),
    st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_units_follow_as_in_the_double_loop(between, final, steps, patience, row, gains):
    run = run_of(between, final, steps, patience, row)
    units, done = unit_by_unit(run, gains)
    assert units == double_loop(run, gains)
    assert done.epoch == units.count(Unit.EPOCH)
    assert done.step == units.count(Unit.GROWTH)
    assert str(done) == f"epoch {done.epoch}, growth step {done.step}"
