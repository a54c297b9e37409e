"""The command line. Every command has an example in its help; errors are one clear message and exit code 2."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from dagrow.errors import DagrowError

app = typer.Typer(
    name="dagrow",
    help="Grow neural-network architectures while they train: YAML graphs in, plain PyTorch out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

RunFile = Annotated[str, typer.Argument(metavar="RUN.yaml", help="A run file: graph, data, training, growth.")]
RunDir = Annotated[str, typer.Argument(metavar="DIR", help="A run directory that 'dagrow grow' has made.")]


@app.command(epilog="Example: dagrow grow specs/digits.yaml --out runs/first --set growth.neurons=8 --seed 1")
def grow(
    run: RunFile,
    out: Annotated[str | None, typer.Option(help="Run directory to make. [default: runs/NAME]")] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Continue the run in --out that was stopped; RUN.yaml may be its directory."),
    ] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change an entry of the file.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the run; the same as --set seed=N.")] = None,
    device: Annotated[str, typer.Option(help="Where to train: cpu, cuda, cuda:1, ...")] = "cpu",
    patience: Annotated[float, typer.Option(help="Seconds that one of several processes waits for the others.")] = 600,
) -> None:
    """Train and grow a network as a run file says. For several processes, see torchrun."""
    from dagrow.distributed import joined
    from dagrow.graph import load_run
    from dagrow.report import PlainLines, ProgressBar
    from dagrow.training import grow as grow_network
    from dagrow.training import run_to_continue

    source, target = run_to_continue(run, out) if resume else (run, out)
    overrides = [*(settings or ()), *([] if seed is None else [f"seed={seed}"])]
    spec = load_run(source, overrides)
    console = Console()
    with joined(device, patience) as (processes, own):
        where: dict[str, Any] = {"out": target, "resume": resume, "device": own, "processes": processes}
        if console.is_terminal and processes.rank == 0:
            with ProgressBar(console) as bar:
                result = grow_network(spec, reporter=bar, **where)
        else:
            result = grow_network(spec, reporter=PlainLines(), **where)
    if processes.rank > 0:
        return
    print(f"\n{result}\n")
    size = sum(parameter.numel() for parameter in result.model.parameters())
    print(f"test {result.test}; {size} parameters")
    print(f"{result.out}: graph.yaml, weights.safetensors, journal.jsonl; plain PyTorch in {result.out}/exported")


@app.command(epilog="Example: dagrow check specs/digits.yaml")
def check(
    file: Annotated[str | None, typer.Argument(metavar="FILE.yaml", help="A run or graph file.")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of run files, for editors.")] = False,
) -> None:
    """Check a file without data: shapes, parameters, where it can grow and why elsewhere not."""
    if schema:
        from dagrow.spec import run_schema

        print(json.dumps(run_schema(), indent=2))
        return
    if file is None:
        raise DagrowError("give a file to check, or --schema")
    from dagrow.graph import Dag, load_run
    from dagrow.report.describe import describe

    print(describe(Dag.of(load_run(file).graph)))


@app.command(epilog="Example: dagrow export runs/digits --to onnx --out digits.onnx")
def export(
    directory: RunDir,
    to: Annotated[str, typer.Option(help="python, pt2 or onnx.")] = "python",
    out: Annotated[str | None, typer.Option(help="Directory (python) or file to write. [default: inside DIR]")] = None,
) -> None:
    """Write a grown network as plain PyTorch, torch.export or ONNX; it is loaded back and compared."""
    from dagrow.api import export as export_run

    written = export_run(directory, to=to, out=out)
    files = ", ".join(str(file) for file in written.files)
    print(f"{files}: loaded back, outputs differ by {written.max_difference:.1e} at most")


@app.command(epilog="Example: dagrow show runs/digits --out digits.png")
def show(
    source: Annotated[
        str, typer.Argument(metavar="FILE|DIR", help="A run or graph file, or a directory that 'dagrow grow' has made.")
    ],
    out: Annotated[
        str | None,
        typer.Option(help="Picture to write, .svg or .png. [default: growth.svg in DIR, NAME.svg here for a file]"),
    ] = None,
) -> None:
    """Draw a graph; for a run, its growth: what each step brought, and its gain."""
    from dagrow.api import show as show_graph

    print(show_graph(source, out))


@app.command(epilog="Example: dagrow log runs/digits")
def log(directory: RunDir) -> None:
    """Show the journal of a run as a table."""
    from dagrow.errors import RunError
    from dagrow.training import history_table, read_journal

    journal = Path(directory) / "journal.jsonl"
    if not Path(directory).is_dir():
        raise RunError(f"{directory} is not a directory; give one that 'dagrow grow' has made")
    print(history_table(read_journal(journal)))


def main(arguments: list[str] | None = None) -> None:
    """Entry point: runs a command; a person's error ends with its message and exit code 2."""
    try:
        app(args=arguments, standalone_mode=True)
    except DagrowError as error:
        print(f"dagrow: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
