"""What a graph must be like for the theory of nonparametric networks to hold (Philipp & Carbonell 2017, section 3)."""

from __future__ import annotations

from dagrow.build.units import SIDES
from dagrow.errors import Problem, did_you_mean, listed
from dagrow.graph import Dag, GrowableNode, site
from dagrow.ops import ACTIVATIONS, NORMS
from dagrow.registry import registry
from dagrow.spec import PenaltySpec, RunSpec


def nonparametric_problems(run: RunSpec) -> list[Problem]:
    """Nodes that a penalty on units, or units added while training, cannot do with; the graph must be in order."""
    dag, found = Dag.of(run.graph), []
    if run.training.penalty is not None:
        found += [problem for name in dag.order for problem in _of_penalty(dag, name)]
        found += _unknown_nodes(run.training.penalty, dag)
        types = registry("kind of candidate")
        if any(types[name].makes_nodes for name in run.growth.candidates):
            new, where = run.growth.new_node, ("growth", "new_node")
            found += [Problem((*where, "activation"), text) for each in new.activation if (text := _bent(each))]
            found += [Problem((*where, "norm"), text) for each in new.norm if (text := _scaled(each))]
    if run.growth.continuous_growth is not None and not growing_nodes(dag, run.growth.nodes):
        found.append(
            Problem(("growth", "continuous_growth"), "no node can take new units; see 'dagrow check' for the reasons")
        )
    return found


def growing_nodes(dag: Dag, nodes: tuple[str, ...] | None) -> list[str]:
    """The nodes, of those given (all, if none are), whose size can change."""
    return [name for name in (dag.order if nodes is None else nodes) if isinstance(site(dag, name), GrowableNode)]


def _unknown_nodes(penalty: PenaltySpec, dag: Dag) -> list[Problem]:
    """Names in `PenaltySpec.node_strengths` that no penalised units have."""
    known = [side.node for side in SIDES[penalty.side](dag)]
    return [
        Problem(
            ("training", "penalty", "node_strengths", name),
            f"'{name}' has no {penalty.side} that is penalised{did_you_mean(name, known)}; allowed: {listed(known)}",
        )
        for name in penalty.node_strengths
        if name not in known
    ]


def _of_penalty(dag: Dag, name: str) -> list[Problem]:
    node, where, found = dag.node(name), ("graph", "nodes", name), []
    if name not in dag.spec.outputs and (text := _bent(node.activation)):
        found.append(Problem((*where, "activation"), text))
    if node.attention is not None:
        text = "training.penalty makes the values of units smaller, which changes whom attention reads"
        found.append(Problem((*where, "attention"), text))
    if text := _scaled(node.norm):
        found.append(Problem((*where, "norm"), text))
    return found


def _bent(activation: str) -> str:
    """Why a penalised unit cannot have this activation; empty if it can."""
    if ACTIVATIONS[activation].homogeneous:
        return ""
    fit = listed(key for key, entry in ACTIVATIONS.items() if entry.homogeneous)
    return (
        f"training.penalty makes the values of units smaller, which changes what '{activation}' does to them; "
        f"allowed are self-similar activations, act(c z) = c act(z): {fit}"
    )


def _scaled(norm: str) -> str:
    """Why a penalised unit cannot have this norm; empty if it can."""
    if norm == "none" or not NORMS[norm].scale_invariant:
        return ""
    fit = listed(["none", *(key for key, entry in NORMS.items() if not entry.scale_invariant)])
    return (
        f"training.penalty makes the values of units smaller, which norm '{norm}' makes good again, so that "
        f"the penalty says nothing; allowed: {fit}"
    )
