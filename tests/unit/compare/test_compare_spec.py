"""Comparison files: what they come to, and one kind message with file and line for what is wrong."""

import pytest
from pydantic import ValidationError

import dagrow
from dagrow.compare.controls import from_scratch
from dagrow.compare.load import varied
from dagrow.compare.runs import grown_cells, rows
from dagrow.errors import SpecError
from dagrow.graph import Dag, cost

BASE = """\
base:
  graph:
    inputs: {x: {shape: [4]}}
    nodes: {h: {size: 1, activation: relu}, y: {size: 3}}
    edges: {x->h: linear, h -> y: linear}
    outputs: [y]
  data: {dataset: iris}
"""


@pytest.fixture
def load(tmp_path):
    def loaded(text):
        (tmp_path / "runs.yaml").write_text(text)
        return dagrow.load_comparison(tmp_path / "runs.yaml")

    return loaded


def test_every_method_with_every_schedule_and_setting(load):
    spec = load(
        BASE + "methods: [tiny, random]\nschedules: [epochs, plateau]\n"
        "settings: {few: [growth.neurons=1], many: [growth.neurons=9, seed=5]}\n"
    )
    labels = [variant.label for variant in spec.variants()]
    assert len(labels) == 8
    assert labels[:3] == ["tiny, epochs, few", "tiny, epochs, many", "tiny, plateau, few"]
    last = varied(spec.base, list(spec.variants())[-1].changes)
    assert (last.growth.method, last.growth.schedule, last.growth.neurons) == ("random", "plateau", 9)


def test_what_is_left_out_is_as_in_the_base(load):
    spec = load(BASE)
    assert [variant.label for variant in spec.variants()] == ["tiny"]
    assert spec.seeds == (0, 1, 2)
    (variant,) = spec.variants()
    assert varied(spec.base, variant.changes) == spec.base


def test_controls_may_be_left_out(load):
    """Those that stay are those of the full table."""
    some = load(BASE + "methods: [tiny, random]\ncontrols: [smallest-gain placement, 'from scratch, equal epochs']\n")
    assert [str(row) for row in rows(some)] == [
        "tiny",
        "tiny: smallest-gain placement",
        "tiny: from scratch, equal epochs",
        "random",
        "random: smallest-gain placement",
        "random: from scratch, equal epochs",
    ]
    assert [str(cell.row) for cell in grown_cells(some)][:4] == [
        "tiny",
        "tiny: smallest-gain placement",
        "random",
        "random: smallest-gain placement",
    ]
    assert [str(row) for row in rows(load(BASE + "controls: []\n"))] == ["tiny"]


def test_a_change_may_mend_what_the_base_cannot(load):
    """The base's method needs what the graph has not; the methods that are compared do not."""
    spec = load(BASE.replace("relu", "tanh") + "  growth: {method: folding}\nmethods: [tiny, gradmax]\n")
    assert [variant.label for variant in spec.variants()] == ["tiny", "gradmax"]


def test_a_base_in_a_file_of_its_own(load, tmp_path):
    (tmp_path / "base.yaml").write_text("\n".join(line[2:] for line in BASE.splitlines()[1:]))
    inline = load(BASE)
    assert load("base: base.yaml\n") == inline


def test_it_is_frozen(load):
    with pytest.raises(ValidationError, match="frozen"):
        load(BASE).seeds = (1,)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (
            BASE + "controls: [random placment]\n",
            8,
            "unknown control 'random placment' (did you mean 'random placement'?)",
        ),
        (BASE + "methods: [tiny, rndom]\n", 8, "unknown method 'rndom' (did you mean 'random'?)"),
        (BASE + "methods: [tiny, tiny]\n", 8, "'tiny' is given twice"),
        (BASE + "methods: []\n", 8, "expected at least 1 entry"),
        (BASE + "schedules: [sometimes]\n", 8, "unknown schedule 'sometimes'"),
        (BASE + "seeds: [0, -1]\n", 8, "at least 0"),
        (BASE + "sedes: [0]\n", 8, "unknown field 'sedes' (did you mean 'seeds'?)"),
        (BASE + "settings:\n  a: [growth.neurons=1]\n  b: [growth.neuron=2]\n", 10, "unknown field 'neuron'"),
        (BASE + "settings:\n  b: [growth.neurons]\n", 9, "write key.path=value"),
        (BASE + "settings: {a/b: [seed=1]}\n", 8, "text of the form"),
        (BASE.replace("relu", "tanh") + "methods:\n- tiny\n- folding\n", 10, "needs a chain of linear edges with relu"),
        (
            BASE + "methods: [folding]\nsettings:\n  a: [seed=1]\n  b: ['growth.candidates=[edge]']\n",
            11,
            "[widen] or [widen, layer], not [edge]",
        ),
        (BASE + "methods: [tiny, net2net]\nsettings: {a: ['growth.candidates=[node]']}\n", 9, "copies neurons"),
        (BASE.replace("relu", "tanh") + "  growth: {method: folding}\n", 1, "needs a chain of linear edges with relu"),
        (BASE.replace("relu", "rleu"), 4, "unknown activation 'rleu' (did you mean 'relu'?)"),
        (BASE.replace("h -> y", "h -> z"), 5, "'z'"),
        (BASE.replace("iris", "irsi"), 7, "unknown data set 'irsi'"),
        ("name: a\nbase: 3\n", 2, "give the path of a run file, or the sections of a run; found 3"),
        ("name: a\n", None, "it is missing"),
    ],
)
def test_one_defect_is_one_message(load, tmp_path, text, line, message):
    with pytest.raises(SpecError) as caught:
        load(text)
    assert len(caught.value.problems) == 1, caught.value
    place = f"{tmp_path / 'runs.yaml'}:" + ("" if line is None else f"{line}:")
    assert str(caught.value).startswith(place)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_base_file_that_is_not_there(load, tmp_path):
    with pytest.raises(SpecError, match=r"base\.yaml: no such file"):
        load("base: base.yaml\n")


def test_changes_of_a_run_are_as_on_the_command_line(load):
    base = load(BASE).base
    with pytest.raises(SpecError, match=r"^--set growth\.neurons=x: expected a whole number, found 'x'$"):
        varied(base, ["growth.neurons=x"])


def test_placements_by_lot_are_not_tried_out(load):
    """Controls that place elsewhere can be made of a base that tries candidates out."""
    spec = load(BASE + "  growth: {trial_training: {candidates: 2}}\n")
    placed = {cell.row.label: cell.run.growth for cell in grown_cells(spec)}
    assert placed["tiny"].trial_training is not None
    assert placed["random weights, same norm"].trial_training is not None
    for control, where in (("random placement", "random"), ("smallest-gain placement", "smallest_gain")):
        assert (placed[control].where, placed[control].trial_training) == (where, None)


def test_from_scratch_has_the_batches_that_growth_ended_with(load):
    spec = load(BASE + "  training: {batch_size: 10, scale_batch_size: true}\n")
    graph = load(BASE.replace("size: 1,", "size: 9,")).base.graph
    parameters = [cost(Dag.of(each)).parameters for each in (spec.base.graph, graph)]
    scratch = from_scratch(spec.base, None, graph, lambda outcome, graph: 7)
    assert scratch.training.batch_size == round(10 * (parameters[1] / parameters[0]) ** 0.5)
    assert (scratch.training.scale_batch_size, scratch.training.final_epochs) == (False, 7)
