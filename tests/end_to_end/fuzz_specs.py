"""Run files as an attacker or a tired person would give them: only DagrowError comes out, in bounded time and memory.

A few hundred cases are in the suite; many, in one process and one thread, with counts at the end:

    python tests/end_to_end/fuzz_specs.py --cases 20000 --seed 0
"""

import argparse
import copy
import json
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from dagrow.errors import DagrowError
from dagrow.graph import Dag, load_graph, load_run
from dagrow.report.describe import describe
from dagrow.spec import dump_run, graph_hash

ROOT = Path(__file__).resolve().parents[2]
SEEDS = [file.read_bytes() for file in sorted([*ROOT.glob("specs/*.yaml"), *ROOT.glob("tests/malformed/*.yaml")])]

TOKENS = [
    b"&a ", b"*a", b"<<: *a", b"!!python/object/apply:os.system ['true']", b"!!binary aGk=", b"!!set", b"!x ",
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\x80", b"\x1b[2J", b"\r", b"\t", b"\n", b" ", b"\xe2\x80\xa8",
    b"[", b"]", b"{", b"}", b":", b": ", b"- ", b"? ", b"#", b"'", b'"', b"\\", b"|", b">", b"%YAML 9.9\n", b"---\n",
    b"...\n", b"->", b" -> ", b"nan", b".nan", b".inf", b"-.inf", b"1e999", b"-0", b"0x", b"0o7", b"1_0", b"null", b"~",
    b"true", b"9" * 30, b"9" * 5000, b"[" * 60, b"{a: " * 60, b"a" * 5000, b"0", b"-1", b"1e-320", b"2147483648",
    b"9223372036854775808", b"size: 1000000", b"\xf0\x9f\x92\xa9", b"\\ud800", b'"\\ud800"', b'"\\x00"', b"__class__",
]  # fmt: skip

VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**50, -(10**50), 0.5, -0.0, 1e308, float("inf"), float("nan"), "",
    "x", "h", "y", "x -> h", "\x00", "\ud800", "a" * 300, "é", [], {}, [[]], [1, 2], [1, 2, 3], {"a": 1}, ["x"],
    {"kind": "max"}, {"op": "linear"}, {"op": "conv2d", "kernel": [4096, 4096]}, "same", "auto", "../../etc/passwd",
    "/dev/zero", [0], [10**6] * 3, {"size": 10**6}, {"npz": "/dev/zero"}, {"csv": "/etc/passwd", "target": "x"},
]  # fmt: skip


def mutated_bytes(random_: random.Random) -> bytes:
    """A file with some bytes or tokens changed, taken away, doubled or mixed with another file's."""
    data = bytearray(random_.choice(SEEDS))
    for _ in range(random_.choice((1, 1, 1, 2, 3, 8, 30))):
        at = random_.randrange(len(data) + 1)
        end = min(len(data), at + random_.choice((1, 1, 2, 5, 20, 100)))
        match random_.randrange(6):
            case 0:
                data[at:end] = bytes(random_.randrange(256) for _ in range(end - at))
            case 1:
                del data[at:end]
            case 2:
                data[at:at] = random_.choice(TOKENS)
            case 3:
                data[at:end] = random_.choice(TOKENS)
            case 4:
                data[at:at] = bytes(data[at:end]) * random_.choice((1, 2, 50))
            case _:
                other = random_.choice(SEEDS)
                start = random_.randrange(len(other))
                data[at:end] = other[start : start + random_.choice((5, 50, 500))]
    return bytes(data)


def places(value: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Every entry, as the mapping or list that holds it and its key."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in pairs:
        found.append((value, key))
        places(entry, found)
    return found


PLAIN = [
    yaml.safe_load((ROOT / "specs" / f"{name}.yaml").read_text())
    for name in ("digits", "unet", "densenet", "digits_graph")
]


def mutated_values(random_: random.Random) -> bytes:
    """A file that is YAML, with entries that take other values or names, come twice, or are not there."""
    data = json.loads(json.dumps(random_.choice(PLAIN)))
    for _ in range(random_.choice((1, 1, 2, 4))):
        holder, key = random_.choice(places(data, []) or [(data, "graph")])
        match random_.randrange(4):
            case 0 | 1:
                holder[key] = copy.deepcopy(random_.choice(VALUES))
            case 2:
                del holder[key]
            case _ if isinstance(holder, dict):
                holder[str(random_.choice(VALUES))] = holder.pop(key)
            case _:
                holder.insert(0, copy.deepcopy(random_.choice(VALUES)))
    dump = random_.choice((json.dumps, lambda value: yaml.safe_dump(value, sort_keys=False)))
    text: str = dump(data)
    encoding = random_.choice(("utf-8",) * 20 + ("utf-16", "utf-32", "latin-1", "utf-8-sig"))
    return text.encode(encoding, "replace")


def chain_text(nodes: int, node: str = "{size: 1}", edge: str = "linear") -> str:
    """A graph of many nodes, one after the other."""
    names = [f"n{i}" for i in range(nodes)]
    lines = [
        "graph:",
        "  inputs: {x: {shape: [1]}}",
        "  nodes:",
        *(f"    {name}: {node}" for name in names),
        "  edges:",
    ]
    lines += [f"    {a} -> {b}: {edge}" for a, b in zip(["x", *names], names, strict=False)]
    return "\n".join([*lines, f"  outputs: {names[-1]}", ""])


def diamonds(stages: int) -> str:
    """Concats after concats, so that features have ``2 ** stages`` ways."""
    nodes, edges = ["    n0: {size: 1}", "    y: {size: 1}"], ["    x -> n0: linear", f"    n{stages} -> y: linear"]
    for i in range(stages):
        nodes += [f"    {name}: {{merge: concat}}" for name in (f"a{i}", f"b{i}", f"n{i + 1}")]
        edges += [
            f"    {a} -> {b}: identity" for s in "ab" for a, b in ((f"n{i}", f"{s}{i}"), (f"{s}{i}", f"n{i + 1}"))
        ]
    return "\n".join(
        ["graph:", "  inputs: {x: {shape: [1]}}", "  nodes:", *nodes, "  edges:", *edges, "  outputs: y", ""]
    )


def laughs(depth: int, width: int = 9) -> str:
    """Aliases of aliases."""
    lines = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * width)}]" for i in range(1, depth)]
    return "\n".join([*lines, f"graph: *a{depth - 1}", ""])


def bomb(random_: random.Random, largest: int = 3) -> bytes:
    """A file that is meant to take time or memory; ``largest`` is the number of digits of its size."""
    n = random_.randrange(1, 10**largest)
    makers: list[Callable[[], str]] = [
        lambda: laughs(2 + n % 60, 1 + n % 20),
        lambda: "graph: " + "[" * n + "]" * n,
        lambda: "graph: " + "{a: " * n + "1" + "}" * n,
        lambda: "\n".join(" " * i + f"k{i}:" for i in range(n)),
        lambda: "- " * n,
        lambda: "graph: " + "x" * (100 * n),
        lambda: "graph: " + "9" * (100 * n),
        lambda: "graph: {" + ", ".join(f"k{i}: {i}" for i in range(10 * n)) + "}",
        lambda: "name: a\n" * n,
        lambda: "'" + "\\" * n,
        lambda: "? " * n,
        lambda: "&a " * n,
        lambda: "graph: [" + "1," * (10 * n) + "]",
        lambda: "graph: !" + "t" * n + " 1",
        lambda: chain_text(n),
        lambda: chain_text(n, "{sizze: 1}"),
        lambda: chain_text(n, "{merge: concat}", "identity"),
        lambda: chain_text(n).replace("-> n", "-> m"),
        lambda: chain_text(n).replace("    x -> n0", f"    n{n - 1} -> n0: linear\n    x -> n0"),
        lambda: chain_text(n, "{size: 1000000}", "{op: conv2d, kernel: 4096}"),
        lambda: chain_text(1 + n % 100, "{size: 1000000}"),
        lambda: diamonds(n % 200),
        lambda: chain_text(3) + "growth: {nodes: [" + ", ".join(f"m{i}" for i in range(n)) + "]}",
        lambda: chain_text(3) + "  " * n + "x",
    ]
    return random_.choice(makers)().encode()


def noise(random_: random.Random) -> bytes:
    """Bytes, or characters, without any sense."""
    if random_.random() < 0.5:
        return random_.randbytes(random_.randrange(300))
    return "".join(
        chr(random_.choice((32, 10, 45, 58, 91, 123, 0x2028, random_.randrange(0xD800)))) for _ in range(80)
    ).encode()


KINDS: dict[str, tuple[int, Callable[[random.Random], bytes]]] = {
    "bytes": (64, mutated_bytes),
    "values": (31, mutated_values),
    "bombs": (1, bomb),
    "noise": (4, noise),
}
"""Kinds of cases, each with its weight."""


def case(seed: int, number: int) -> tuple[str, bytes]:
    """The kind and the content of one file, the same in every run."""
    random_ = random.Random(f"{seed} {number}")
    kind = random_.choices(list(KINDS), [weight for weight, _ in KINDS.values()])[0]
    return kind, KINDS[kind][1](random_)


def outcome(content: bytes, file: Path) -> str:
    """``read`` or ``refused``; everything else that comes out is raised."""
    file.write_bytes(content)
    try:
        load_graph(file)
    except DagrowError as error:
        _check(error)
    try:
        run = load_run(file)
    except DagrowError as error:
        _check(error)
        return "refused"
    describe(Dag.of(run.graph))
    graph_hash(run.graph)
    file.write_text(dump_run(run))
    assert load_run(file) == run
    return "read"


def _check(error: DagrowError) -> None:
    """A message that a person can read."""
    text = str(error)
    assert text
    assert len(text) < 100_000
    text.encode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    counts: Counter[str] = Counter()
    slowest, unexpected, began = (0.0, -1), 0, time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "run.yaml"
        for number in range(asked.cases):
            kind, content = case(asked.seed, number)
            started = time.perf_counter()
            try:
                counts[f"{kind} {outcome(content, file)}"] += 1
            except Exception as error:
                unexpected += 1
                counts[f"{kind} UNEXPECTED"] += 1
                print(f"case {number} ({kind}): {type(error).__name__}: {str(error)[:300]}", flush=True)
            slowest = max(slowest, (time.perf_counter() - started, number))
    for name, count in sorted(counts.items()):
        print(f"{name:20}{count:8}")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(
        f"{asked.cases} cases in {time.perf_counter() - began:.0f} s, "
        f"the slowest (case {slowest[1]}) {slowest[0]:.2f} s, {memory} MB at most, {unexpected} unexpected"
    )
    sys.exit(1 if unexpected else 0)


if __name__ == "__main__":
    main()
