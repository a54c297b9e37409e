"""Networks of other libraries, unmodified, grown in the middle of AdamW training under a OneCycle schedule.

    python benchmarks/grown_in_training.py [gpt2 llama vit] [--steps 300] [--seed 0]

GPT-2 and a Llama with grouped queries (transformers, two layers) learn the bytes of texts that scikit-learn ships, a
ViT (timm, three blocks) its digits. At a third of the steps every space that can grow is widened without a change of
the function, one after another; at a half each of the best candidates of a plan, one per kind, is inserted at its
amplitude. For every insertion the loss on the samples looked at is printed before and after, beside what was promised;
for the whole run by how much the mean training loss of the 20 steps behind each growth is above that of the 20 before,
which weights have not moved since the insertions, and how far the module that `resize.py` loads is from the grown one.
"""

from __future__ import annotations

import argparse
import runpy
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import sklearn
import torch
from real_modules import tolerate_missing_operators
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import dagrow
from dagrow.errors import DagrowError

WINDOW = 20
LENGTH, BATCH, VOCABULARY = 32, 32, 128
Batch = tuple[Any, Tensor]


class Setting(NamedTuple):
    """A network in training.

    Attributes:
        make: builds it anew, as it was before growth.
        batch: draws one from a generator.
        loss: ``(output, target) -> scalar``.
    """

    make: Callable[[], nn.Module]
    batch: Callable[[torch.Generator], Batch]
    loss: Callable[[Any, Tensor], Tensor]


def text() -> Tensor:
    """Bytes of the descriptions of scikit-learn's data sets, ASCII alone."""
    folder = Path(sklearn.__file__).parent / "datasets" / "descr"
    whole = b"".join(path.read_bytes() for path in sorted(folder.glob("*.rst")))
    values = np.frombuffer(whole, dtype=np.uint8).astype(np.int64)
    return torch.from_numpy(values[values < VOCABULARY])


def language_model(make: Callable[[], nn.Module]) -> Setting:
    """The next byte is learned, at every position."""
    values = text()

    def batch(generator: torch.Generator) -> Batch:
        starts = torch.randint(len(values) - LENGTH - 1, (BATCH,), generator=generator).tolist()
        window = torch.stack([values[start : start + LENGTH + 1] for start in starts])
        return {"input_ids": window[:, :-1]}, window[:, 1:]

    def loss(output: Any, target: Tensor) -> Tensor:
        logits = output["logits"] if isinstance(output, dict) else output.logits
        return cross_entropy(logits.transpose(1, 2), target)

    return Setting(make, batch, loss)


def gpt2() -> Setting:
    """Two layers, packed and tied projections."""
    import transformers

    config = transformers.GPT2Config(
        vocab_size=VOCABULARY, n_embd=48, n_layer=2, n_head=4, n_positions=LENGTH, use_cache=False
    )
    return language_model(lambda: transformers.GPT2LMHeadModel(config))


def llama() -> Setting:
    """Two layers, four heads that share two pairs of keys and values."""
    import transformers

    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=48, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, use_cache=False,
    )  # fmt: skip
    return language_model(lambda: transformers.LlamaForCausalLM(config))


def vit() -> Setting:
    """Three blocks on digits of 8 x 8 pixels, in patches of 2 x 2."""
    import timm
    from timm.models.vision_transformer import VisionTransformer

    assert timm
    x, y = load_digits(return_X_y=True)
    images = torch.from_numpy(x.reshape(-1, 1, 8, 8)).float() / 16
    labels = torch.from_numpy(y)

    def make() -> nn.Module:
        return VisionTransformer(
            img_size=8, patch_size=2, in_chans=1, num_classes=10, embed_dim=48, depth=3, num_heads=3
        )

    def batch(generator: torch.Generator) -> Batch:
        rows = torch.randint(len(labels), (BATCH,), generator=generator)
        return images[rows], labels[rows]

    return Setting(make, batch, lambda output, target: cross_entropy(output, target))


SETTINGS = {"gpt2": gpt2, "llama": llama, "vit": vit}


class Training:
    """AdamW under OneCycle, with the losses it has seen."""

    def __init__(self, setting: Setting, steps: int, seed: int) -> None:
        torch.manual_seed(seed)
        self.setting, self.generator = setting, torch.Generator().manual_seed(seed)
        self.looked = [setting.batch(torch.Generator().manual_seed(9 + i)) for i in range(4)]
        self.model = setting.make()
        self.net = dagrow.from_module(self.model, _example(self.looked[0][0]))
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3, weight_decay=0.01)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, 1e-3, total_steps=steps)
        self.losses: list[float] = []

    def go(self, steps: int) -> None:
        """Trains on."""
        self.model.train()
        for _ in range(steps):
            inputs, target = self.setting.batch(self.generator)
            self.optimizer.zero_grad()
            loss = self.setting.loss(self._called(inputs), target)
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
            self.losses.append(loss.item())

    def _called(self, inputs: Any) -> Any:
        return self.model(**inputs) if isinstance(inputs, dict) else self.model(inputs)

    @torch.no_grad()
    def loss(self) -> float:
        """On the samples that are looked at."""
        self.model.eval()
        return float(np.mean([float(self.setting.loss(self._called(x), y)) for x, y in self.looked]))

    def grow_silently(self) -> Iterator[str]:
        """Every space that can grow, once."""
        for name in [space.name for space in self.net.growable]:
            (space,) = [each for each in self.net.growable if each.name == name] or [None]
            if space is None:
                continue
            before, size = self.loss(), space.size
            try:
                dagrow.widen(self.net, space, 1 if space.label in ("heads", "groups") else 4, self.optimizer)
            except DagrowError as error:
                yield f"  {name}: not grown, {str(error)[:100]}"
                continue
            now = [each.size for each in self.net.spaces if each.name == name]
            yield f"  {name}: {size} -> {now[0] if now else '?'}, loss {before:.6f} -> {self.loss():.6f}"

    def grow_at_amplitude(self) -> Iterator[str]:
        """The best candidate of each kind of space."""
        self.model.eval()
        plan = dagrow.propose(self.net, self.setting.loss, self.looked, neurons=2, keep=64)
        done = set()
        for first in [candidate for candidate in plan.candidates if not candidate.rejected]:
            space = next(each for each in self.net.growable if each.name == first.space)
            kind = (space.kind, space.label)
            if kind in done:
                continue
            done.add(kind)
            self.model.eval()
            again = dagrow.propose(self.net, self.setting.loss, self.looked, neurons=2, spaces=[first.space])
            if again.best is None:
                continue
            before = self.loss()
            dagrow.apply(self.net, again.best, self.optimizer)
            after = self.loss()
            what = " ".join(filter(None, kind))
            yield f"  {first.space} ({what}): promised {again.best.gain:.5f}, loss falls by {before - after:.5f}"


def _example(inputs: Any) -> Any:
    return {key: value[:2] for key, value in inputs.items()} if isinstance(inputs, dict) else inputs[:2]


def _jump(losses: list[float], step: int) -> float:
    """By how much the mean training loss of the steps behind a step is above that of the steps before it."""
    return float(np.mean(losses[step : step + WINDOW]) - np.mean(losses[max(0, step - WINDOW) : step]))


def run(name: str, steps: int, seed: int) -> None:
    """Trains, grows twice, trains to the end, saves and loads."""
    try:
        training = Training(SETTINGS[name](), steps, seed)
    except ImportError as error:
        print(f"{name}: left out ({error})")
        return
    count = sum(p.numel() for p in training.model.parameters())
    print(f"{name}: {count} parameters, {len(training.net.growable)} spaces can grow", flush=True)
    training.go(steps // 3)
    for line in training.grow_silently():
        print(line, flush=True)
    training.go(steps // 2 - steps // 3)
    for line in training.grow_at_amplitude():
        print(line, flush=True)
    then = {key: value.detach().clone() for key, value in training.model.named_parameters()}
    training.go(steps - steps // 2)
    moved = {key: (value != then[key]) for key, value in training.model.named_parameters()}
    still = [f"{key} ({int((~part).sum())} of {part.numel()})" for key, part in moved.items() if not part.all()]
    count = sum(p.numel() for p in training.model.parameters())
    print(f"  {count} parameters at the end; all moved but {', '.join(still) or 'none'}")
    first, last = (np.mean(part) for part in (training.losses[:WINDOW], training.losses[-WINDOW:]))
    jumps = ", ".join(f"{_jump(training.losses, step):+.4f}" for step in (steps // 3, steps // 2))
    print(
        f"  training loss {first:.3f} at first, {last:.3f} at the end; {jumps} over {WINDOW} steps behind each growth"
    )
    with tempfile.TemporaryDirectory() as folder:
        dagrow.save_module(training.net, folder)
        load = runpy.run_path(str(Path(folder) / "resize.py"))["load"]
        other, inputs = load(training.setting.make(), folder).eval(), training.looked[0][0]
    training.model.eval()
    with torch.no_grad():
        one, two = (
            torch.as_tensor(getattr(out, "logits", out))
            for out in (training._called(inputs), other(**inputs) if isinstance(inputs, dict) else other(inputs))
        )
    print(f"  loaded by resize.py: {float((one - two).abs().max() / one.abs().max()):.1e} of the largest output apart")


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    tolerate_missing_operators()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(SETTINGS))
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    for each in given.names:
        run(each, given.steps, given.seed)
