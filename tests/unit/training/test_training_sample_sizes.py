"""How many samples a growth step looks at: by the thesis' rule, neither too few nor more than stay in memory."""

import math

import pytest

from dagrow.graph import Dag
from dagrow.spec import GraphSpec
from dagrow.statistics import CACHE_BYTES
from dagrow.training.sample_sizes import FEWEST, samples_needed


def mlp(features, hidden):
    return Dag.of(
        GraphSpec.model_validate(
            {
                "inputs": {"x": {"shape": [features]}},
                "nodes": {"h": {"size": hidden}, "y": {"size": 3}},
                "edges": {"x -> h": "linear", "h -> y": "linear"},
                "outputs": ["y"],
            }
        )
    )


def conv(channels, side):
    return Dag.of(
        GraphSpec.model_validate(
            {
                "inputs": {"x": {"shape": [channels, side, side]}},
                "nodes": {"c": {"size": 4, "pool": "global_average"}, "y": {"size": 3}},
                "edges": {"x -> c": {"op": "conv2d", "kernel": 3, "padding": "same"}, "c -> y": "linear"},
                "outputs": ["y"],
            }
        )
    )


@pytest.mark.parametrize("features", [100, 300, 350])
def test_the_square_of_the_features_that_a_neuron_reads(features):
    assert samples_needed(mlp(features, 5)) == features**2


@pytest.mark.parametrize("dag", [mlp(4, 2), mlp(62, 2), conv(3, 32)])
def test_never_so_few_that_nothing_stands_out(dag):
    assert samples_needed(dag) == FEWEST


def test_fewer_where_positions_share_weights():
    dag = conv(64, 6)
    features = 64 * 9
    assert samples_needed(dag) == math.ceil(features**2 / dag.merged("c").position_count) > FEWEST


def test_no_more_than_stays_in_memory():
    dag = mlp(6000, 5)
    kept = samples_needed(dag)
    values = 6000 + 3 * 5 + 3 * 3
    assert kept < 6000**2
    assert kept * 4 * values <= CACHE_BYTES < (kept + 1) * 4 * values
