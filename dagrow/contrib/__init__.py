"""Ways to grow that nothing else needs: each registers what it brings, as another distribution would.

`dagrow` calls `register` once, when it is imported; no other part of it knows what is here.
"""

from dagrow.contrib import folding, nonparametric


def register() -> None:
    """Registers everything: methods, needs, optimizers, norms, training extensions and checks of run files."""
    for part in (folding, nonparametric):
        part.register()
