"""What can grow in networks that people use, and whether it grows: torchvision, timm and transformers, random weights.

Every growable space of each model (or the first two of each kind, ``--few``) is widened in a copy in float64, and the
output compared. Needs torchvision, timm and transformers; models whose package is missing are left out.

    .venv/bin/python benchmarks/real_modules.py --few resnet18 hf_gpt2
"""

import argparse
import collections
import re
import time
import warnings

import torch

import dagrow
from dagrow.errors import DagrowError


def tolerate_missing_operators():
    """Torchvision registers shapes of compiled operators that its wheel for another torch may lack."""
    register = torch.library.register_fake

    def tolerant(op, *args, **kwargs):
        if isinstance(op, str) and op.startswith("torchvision::"):
            return lambda function: function
        return register(op, *args, **kwargs)

    torch.library.register_fake = tolerant


def image(size=64):
    """Two random images."""
    return torch.randn(2, 3, size, size)


def torchvision(name, size=64, **options):
    """A model of torchvision and an example."""
    tolerate_missing_operators()
    import torchvision.models as models

    return getattr(models, name)(num_classes=10, **options), image(size)


def timm(name):
    """A model of timm and an example."""
    tolerate_missing_operators()
    import timm as package

    return package.create_model(name, img_size=64, num_classes=10), image()


def transformer(kind):
    """A small model of transformers and an example."""
    tolerate_missing_operators()
    import transformers as package

    ids = torch.randint(0, 90, (2, 12))
    if kind == "gpt2":
        config = package.GPT2Config(vocab_size=100, n_embd=48, n_layer=2, n_head=4, n_positions=32, use_cache=False)
        return package.GPT2LMHeadModel(config), {"input_ids": ids}
    if kind == "bert":
        config = package.BertConfig(
            vocab_size=100, hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96
        )
        return package.BertForSequenceClassification(config), {"input_ids": ids}
    config = package.LlamaConfig(
        vocab_size=100, hidden_size=48, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, use_cache=False,
    )  # fmt: skip
    return package.LlamaForCausalLM(config), {"input_ids": ids}


MODELS = {
    "resnet18": lambda: torchvision("resnet18"),
    "vgg11_bn": lambda: torchvision("vgg11_bn"),
    "mobilenet_v2": lambda: torchvision("mobilenet_v2"),
    "efficientnet_b0": lambda: torchvision("efficientnet_b0"),
    "densenet121": lambda: torchvision("densenet121"),
    "resnext50": lambda: torchvision("resnext50_32x4d"),
    "googlenet": lambda: torchvision("googlenet", aux_logits=False, init_weights=False),
    "convnext_tiny": lambda: torchvision("convnext_tiny"),
    "vit_b_16": lambda: torchvision("vit_b_16", image_size=64),
    "swin_t": lambda: torchvision("swin_t", size=224),
    "timm_vit_tiny": lambda: timm("vit_tiny_patch16_224"),
    "hf_gpt2": lambda: transformer("gpt2"),
    "hf_bert": lambda: transformer("bert"),
    "hf_llama": lambda: transformer("llama"),
}


def prepared(name):
    """A model in float64, its averages and weights moved off their defaults."""
    torch.manual_seed(0)
    model, inputs = MODELS[name]()
    model = model.double().eval()
    for module in model.modules():
        if getattr(module, "running_var", None) is not None:
            module.running_var.uniform_(0.5, 2)
            module.running_mean.normal_()
    for parameter in model.parameters():
        parameter.data.add_(0.02 * torch.randn_like(parameter))
    return model, inputs if isinstance(inputs, dict) else inputs.double()


def main():
    """Prints a line per model, and one per space that did not grow."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=list(MODELS), help="of: " + ", ".join(MODELS))
    parser.add_argument("--few", action="store_true", help="only the first two spaces of each kind")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    print("model, spaces that can grow, grown with the output kept, not grown and why")
    for name in arguments.models:
        try:
            model, inputs = prepared(name)
        except ImportError as error:
            print(f"{name}: left out ({error})")
            continue
        began = time.perf_counter()
        try:
            net = dagrow.from_module(model, inputs)
        except DagrowError as error:
            print(f"{name}: {error}")
            continue
        growable, kinds, done, failed = net.growable, collections.Counter(), 0, []
        for space in growable:
            kind = (space.kind, space.label, re.sub(r"\d+", "N", space.name))
            kinds[kind] += 1
            if arguments.few and kinds[kind] > 2:
                continue
            try:
                dagrow.widen(net.copied(), space, 1 if space.label in ("heads", "groups") else 4)
                done += 1
            except DagrowError as error:
                failed.append(f"  {error}")
        tried = done + len(failed)
        print(f"{name}: {len(growable)} can grow; {done} of {tried} tried grew ({time.perf_counter() - began:.0f} s)")
        print("\n".join(failed + [f"  no rule for {op}" for op in net.analysis.found.unknown]), flush=True)


if __name__ == "__main__":
    main()
