"""What a graph must be like for the theory of nonparametric networks to hold (Philipp & Carbonell 2017, section 3)."""

from __future__ import annotations

from dagrow.errors import Problem, listed
from dagrow.graph.dag import Dag
from dagrow.graph.sites import Site, site
from dagrow.ops import ACTIVATIONS, NORMS
from dagrow.spec import RunSpec


def nonparametric_problems(run: RunSpec) -> list[Problem]:
    """Nodes that a penalty on units, or units added while training, cannot do with; the graph must be in order."""
    dag, found = Dag.of(run.graph), []
    if run.training.penalty is not None:
        found += [problem for name in dag.order for problem in _of_penalty(dag, name)]
    if run.growth.units is not None and not growing_nodes(dag, run.growth.nodes):
        found.append(Problem(("growth", "units"), "no node can take new units; see 'dagrow check' for the reasons"))
    return found


def growing_nodes(dag: Dag, nodes: tuple[str, ...] | None) -> list[str]:
    """The nodes, of those given (all, if none are), whose size can change."""
    return [name for name in (dag.order if nodes is None else nodes) if isinstance(site(dag, name), Site)]


def _of_penalty(dag: Dag, name: str) -> list[Problem]:
    node, found = dag.node(name), []
    if name not in dag.spec.outputs and not ACTIVATIONS[node.activation].homogeneous:
        fit = listed(key for key, activation in ACTIVATIONS.items() if activation.homogeneous)
        text = (
            f"training.penalty makes the values of units smaller, which changes what '{node.activation}' does to them; "
            f"allowed are self-similar activations, act(c z) = c act(z): {fit}"
        )
        found.append(Problem(("graph", "nodes", name, "activation"), text))
    if node.norm != "none" and NORMS[node.norm].undoes_scale:
        fit = listed(["none", *(key for key, norm in NORMS.items() if not norm.undoes_scale)])
        text = (
            f"training.penalty makes the values of units smaller, which norm '{node.norm}' makes good again, so that "
            f"the penalty says nothing; allowed: {fit}"
        )
        found.append(Problem(("graph", "nodes", name, "norm"), text))
    return found
