"""Commands of the command line, one file each, and a line in the table below."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from dagrow.cli.commands.completion import completion
from dagrow.cli.commands.init import init
from dagrow.cli.commands.report import report
from dagrow.cli.commands.spot import spot


class Command(NamedTuple):
    """A command and its example.

    Attributes:
        function: its arguments, options and help are those of the command.
        example: stands below the help.
    """

    function: Callable[..., Any]
    example: str


COMMANDS: tuple[Command, ...] = (
    Command(init, "dagrow init bottles.csv --target quality --out bottles.yaml"),
    Command(spot, "dagrow spot runs/digits --out spot.svg"),
    Command(report, "dagrow report runs/digits --out digits.html"),
    Command(completion, "dagrow completion bash > dagrow.bash"),
)
"""In the order in which the help lists them."""
