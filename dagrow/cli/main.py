"""The command line. Every command has an example in its help; errors are one clear message and exit code 2."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from dagrow.cli.commands import COMMANDS
from dagrow.cli.ending import run_command
from dagrow.errors import DagrowError, listed
from dagrow.export import EXPORTERS
from dagrow.files import replace_file
from dagrow.registry import load_plugins
from dagrow.report.output import echo

if TYPE_CHECKING:
    from dagrow.report import Reporter

app = typer.Typer(
    name="dagrow",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        import dagrow

        echo(f"dagrow {dagrow.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Grow neural-network architectures while they train: YAML graphs in, plain PyTorch out."""
    for sentence in load_plugins():
        echo(f"dagrow: {sentence}", sys.stderr)


RunFile = Annotated[str, typer.Argument(metavar="RUN.yaml", help="A run file: graph, data, training, growth.")]
_MOMENT = "A run or graph file, a run directory, or DIR@STEP for a growth step of it; start and end are steps."
RunDir = Annotated[str, typer.Argument(metavar="DIR", help="A run directory that 'dagrow grow' has made.")]


@app.command(epilog="Example: dagrow grow specs/digits.yaml --out runs/first --set growth.neurons=8 --seed 1")
def grow(
    run: RunFile,
    out: Annotated[str | None, typer.Option(help="Run directory to make. [default: runs/NAME]")] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Continue the run in --out that was stopped; RUN.yaml may be its directory."),
    ] = False,
    resume_if_begun: Annotated[
        bool, typer.Option("--resume-if-begun", help="Continue the run in --out, or start it there if none has begun.")
    ] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change an entry of the file.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the run; the same as --set seed=N.")] = None,
    device: Annotated[str, typer.Option(help="Where to train: cpu, cuda, cuda:1, ...")] = "cpu",
    patience: Annotated[float, typer.Option(help="Seconds that one of several processes waits for the others.")] = 600,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Threads of torch at most; small layers take fewer. [default: torch's]"),
    ] = None,
) -> None:
    """Train and grow a network as a run file says. For several processes, see torchrun."""
    from dagrow.distributed import joined
    from dagrow.graph import load_run
    from dagrow.growth import grow as grow_network
    from dagrow.growth import run_to_continue
    from dagrow.training.threads import use_threads

    use_threads(threads)
    source, target = run_to_continue(run, out) if resume else (run, out)
    overrides = [*(settings or ()), *([] if seed is None else [f"seed={seed}"])]
    spec = load_run(source, overrides)
    with joined(device, patience) as (processes, own), _reporter(quiet=processes.rank > 0) as reporter:
        mode: bool | Literal["if_begun"] = "if_begun" if resume_if_begun else resume
        result = grow_network(spec, out=target, resume=mode, device=own, reporter=reporter, processes=processes)
    if processes.rank > 0:
        return
    echo(f"\n{result}\n")
    size = sum(parameter.numel() for parameter in result.model.parameters())
    echo(f"test {result.test}; {size} parameters")
    echo(f"{result.out}: graph.yaml, weights.safetensors, journal.jsonl; plain PyTorch in {result.out}/exported")


@app.command(epilog="Example: dagrow check specs/digits.yaml")
def check(
    file: Annotated[str | None, typer.Argument(metavar="FILE.yaml", help="A run or graph file.")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of run files, for editors.")] = False,
) -> None:
    """Check a file without data: shapes, parameters, where it can grow and why elsewhere not."""
    if schema:
        from dagrow.spec import run_schema

        echo(json.dumps(run_schema(), indent=2))
        return
    if file is None:
        raise DagrowError("give a file to check, or --schema")
    from dagrow.graph import Dag, load_run
    from dagrow.planner import possibilities, possibilities_text
    from dagrow.report.advice import advice
    from dagrow.report.describe import describe

    run = load_run(file)
    dag = Dag.of(run.graph)
    echo(describe(dag))
    growth = run.growth
    found = possibilities(dag, growth.candidates, growth.nodes, growth.new_node)
    echo(f"\n{possibilities_text(found)}")
    if run.model_fields_set != {"graph"}:
        # A graph alone says nothing of how it is to be trained and grown.
        for sentence in advice(run):
            echo(f"advice: {sentence}")


@app.command(epilog="Example: dagrow compare examples/compare_digits.yaml --out comparisons/digits")
def compare(
    file: Annotated[str, typer.Argument(metavar="RUNS.yaml", help="A comparison file: a run, and what varies.")],
    out: Annotated[
        str | None, typer.Option(help="Directory to make, or to go on with. [default: comparisons/NAME]")
    ] = None,
    device: Annotated[str, typer.Option(help="Where to train: cpu, cuda, cuda:1, ...")] = "cpu",
    jobs: Annotated[int, typer.Option(help="Cells that are run at a time, each in a process of its own.")] = 1,
) -> None:
    """Run methods and settings with several seeds, and controls; the same command goes on where it was stopped."""
    from dagrow.compare import compare as compare_runs

    with _reporter() as reporter:
        result = compare_runs(file, out=out, device=device, jobs=jobs, reporter=reporter)
    echo(f"\n{result}\n")
    echo(f"{result.out}: table.md, rows.csv, cells.csv, accuracy.png; the run directories are in {result.out}/cells")


@app.command(epilog="Example: dagrow export runs/digits --to onnx --out digits.onnx")
def export(
    directory: RunDir,
    to: Annotated[
        str, typer.Option(help=f"Form to write: {listed(EXPORTERS)}, or what a plugin registers.")
    ] = "python",
    out: Annotated[str | None, typer.Option(help="Directory (python) or file to write. [default: inside DIR]")] = None,
) -> None:
    """Write a grown network as plain PyTorch, torch.export or ONNX; it is loaded back and compared."""
    from dagrow.api import export as export_run

    written = export_run(directory, to=to, out=out)
    files = ", ".join(str(file) for file in written.files)
    echo(f"{files}: loaded back, outputs differ by {written.max_difference:.1e} at most")


@app.command(epilog="Example: dagrow predict runs/wine bottles.csv --out predictions.csv")
def predict(
    directory: RunDir,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="Raw samples, as in training: a table (columns by name), images or a folder of them, .npz or .npy.",
        ),
    ],
    out: Annotated[str | None, typer.Option(help="Table (csv) to write. [default: printed]")] = None,
) -> None:
    """Say what a grown network makes of samples: names of classes and their probability, or numbers."""
    from dagrow.runs import load_model, prediction_table

    found = load_model(directory).predict_file(file)
    table = prediction_table(found.predictions, found.names)
    if found.unknown:
        echo(f"{file}: not read, since training did not know them: {listed(found.unknown)}", sys.stderr)
    for note in found.notes:
        echo(f"{file}: {note}", sys.stderr)
    if out is None:
        echo(table.removesuffix("\n"))
        return
    try:
        replace_file(Path(out), table.encode("utf-8"))
    except OSError as error:
        raise DagrowError(f"{out}: cannot be written: {error.strerror or error}") from error
    echo(f"{out}: {len(found.predictions[0].outputs)} predictions")


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

    echo(show_graph(source, out))


@app.command(epilog="Example: dagrow log runs/digits --step 2")
def log(
    directory: Annotated[str | None, typer.Argument(metavar="DIR", help="A run directory.")] = None,
    step: Annotated[int | None, typer.Option(help="Show all that was considered in this growth step.")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of a line of a journal.")] = False,
) -> None:
    """Show the journal of a run as a table."""
    from dagrow.journal import candidates_table, history_table, journal_schema
    from dagrow.runs import events_of_run

    if schema:
        echo(json.dumps(journal_schema(), indent=2))
        return
    if directory is None:
        raise DagrowError("give a run directory, or --schema")
    events = events_of_run(directory)
    echo(history_table(events) if step is None else candidates_table(events, step))


@app.command(epilog="Example: dagrow diff runs/digits@1 runs/digits@3")
def diff(
    before: Annotated[str, typer.Argument(metavar="A", help=_MOMENT)],
    after: Annotated[str, typer.Argument(metavar="B", help=_MOMENT)],
) -> None:
    """Show what differs between two graphs: nodes, edges, sizes, parameters."""
    from dagrow.api import diff as compare_graphs

    echo(compare_graphs(before, after))


@app.command(epilog="Example: dagrow replay runs/digits --to 2 --out second.yaml")
def replay(
    directory: RunDir,
    to: Annotated[str, typer.Option(metavar="STEP", help="A growth step; start or end.")] = "end",
    out: Annotated[str | None, typer.Option(help="File to write the graph to.")] = None,
) -> None:
    """Make the graph of a step again from the journal; exit code 1 if it is not the recorded one."""
    from dagrow.api import replay as replay_graph
    from dagrow.runs import read_step
    from dagrow.spec import save_graph

    made = replay_graph(directory, read_step(to))
    echo(made)
    if out is not None:
        save_graph(made.graph, out)
    if not made.identical:
        raise typer.Exit(1)


@app.command(epilog="Example: dagrow revert runs/digits --to 2 --out runs/second")
def revert(
    directory: RunDir,
    to: Annotated[str, typer.Option(metavar="STEP", help="A growth step; 0 or start is the start.")],
    out: Annotated[str | None, typer.Option(help="New directory. [default: DIR, what it holds is kept aside]")] = None,
) -> None:
    """Make a run stand again as it stood after a growth step; grow --resume goes on from there."""
    from dagrow.api import revert as revert_run
    from dagrow.runs import read_step

    step = read_step(to)
    if step is None:
        raise DagrowError("the end is where the run stands; give a growth step, or 0 for the start")
    echo(revert_run(directory, step, out))


@contextmanager
def _reporter(quiet: bool = False) -> Iterator[Reporter]:
    """A progress bar on a terminal, plain lines elsewhere; nothing at all where another process reports."""
    from dagrow.report import PlainLines, ProgressBar, Silent

    console = Console()
    if quiet:
        yield Silent()
    elif console.is_terminal:
        with ProgressBar(console) as bar:
            yield bar
    else:
        yield PlainLines()


for _command in COMMANDS:
    app.command(epilog=f"Example: {_command.example}")(_command.function)


def main(arguments: list[str] | None = None) -> None:
    """Entry point: runs a command; a person's error ends with its message and exit code 2."""
    run_command(lambda: app(args=arguments, standalone_mode=True))


if __name__ == "__main__":
    main()
