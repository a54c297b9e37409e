"""How often torch.compile compiles anew when a compiled network grows: what docs/how-to/training.md says."""

import pytest
import torch
from mutation_cases import MLP, network, random_change
from torch._dynamo.testing import CompileCounter
from torch.optim import Adam

from dagrow.mutation import apply_change
from dagrow.planner import apply, propose

X = torch.randn(24, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
Y = torch.stack([X[:, 0] * X[:, 1], X[:, 2].abs()], 1)
KINDS = ("widen", "edge", "node", "layer", "remove", "update")


@pytest.fixture
def compiler():
    """A compiler that only counts, with nothing compiled yet."""
    torch.compiler.reset()
    yield CompileCounter()
    torch.compiler.reset()


def trained(compiled):
    compiled(X).sum().backward()


def judged(compiled):
    with torch.no_grad():
        compiled(X)


def of_two_sizes(compiled):
    compiled(X)
    compiled(X[:5])


@pytest.mark.parametrize(("uses", "each"), [((trained,), 1), ((trained, judged), 2), ((of_two_sizes,), 2)])
def test_once_per_growth_and_way_of_calling(compiler, uses, each):
    """However often: torch gives up on a function after some times (8, here 2), not on a network that grows."""
    model = network(MLP)
    compiled = torch.compile(model, backend=compiler, fullgraph=True)
    with torch._dynamo.config.patch(recompile_limit=2):
        for growth in range(1, 5):
            for _ in range(2):
                for use in uses:
                    use(compiled)
            assert compiler.frame_count == growth * each
            apply_change(model, random_change(model, "h", 1))


@pytest.mark.parametrize("kind", KINDS)
def test_once_whatever_changes_but_never_for_new_values(compiler, kind):
    model = network(MLP)
    optimizer = Adam(model.parameters())
    compiled = torch.compile(model, backend=compiler, fullgraph=True)
    trained(compiled)
    plan = propose(
        model.eval(), torch.nn.functional.mse_loss, [(X, Y)], candidates=[kind], method="random", neurons=2,
        shrinkage=0, significance=0, prune_tolerance=1e9, max_solved=2, max_searched=2,
    )  # fmt: skip
    assert compiler.frame_count == 1
    before = model(X)
    apply(model, plan.best, optimizer)
    trained(compiled)
    assert compiler.frame_count == (1 if kind == "update" else 2)
    assert not torch.allclose(model(X), before)
    torch.testing.assert_close(compiled(X), model(X))
