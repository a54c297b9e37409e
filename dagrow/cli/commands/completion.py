"""``dagrow completion``: a script that completes commands and options at a TAB, without starting Python for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from dagrow.registry import Registry
from dagrow.report.output import echo

Words = Mapping[str, tuple[str, ...]]
"""The options of each command; under the empty name, those of the program itself."""


def completion(
    context: typer.Context,
    shell: Annotated[str, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
) -> None:
    """Print a completion script for a shell, to be read at its start."""
    script = SHELLS.find(shell)
    program: Any = context.find_root().command
    words = {"": _options(program), **{name: _options(each) for name, each in program.commands.items()}}
    echo(script(words).removesuffix("\n"))


def _options(command: Any) -> tuple[str, ...]:
    """Its options as they are typed; help is an option of each."""
    given = [name for parameter in command.params for name in parameter.opts if name.startswith("-")]
    return tuple(name for name in dict.fromkeys([*given, "--help"]) if re.fullmatch(r"--?[\w-]+", name))


def _bash(words: Words) -> str:
    """Commands first, then options where a word begins with a dash, and files otherwise."""
    cases = "".join(f'    {name}) options="{" ".join(options)}" ;;\n' for name, options in words.items() if name)
    return f'''# bash completion of dagrow: eval "$(dagrow completion bash)" in ~/.bashrc
_dagrow() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" options=""
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{" ".join([*(name for name in words if name), *words[""]])}" -- "$current"))
    return
  fi
  case "${{COMP_WORDS[1]}}" in
{cases}  esac
  case "$current" in
    -*) COMPREPLY=($(compgen -W "$options" -- "$current")) ;;
  esac
}}
complete -o default -F _dagrow dagrow
'''


def _zsh(words: Words) -> str:
    """That of bash, which zsh can read."""
    script = _bash(words).split("\n", 1)[1]
    head = '# zsh completion of dagrow: eval "$(dagrow completion zsh)" in ~/.zshrc'
    return f"{head}\nautoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n{script}"


def _fish(words: Words) -> str:
    lines = ["# fish completion of dagrow: dagrow completion fish > ~/.config/fish/completions/dagrow.fish"]
    lines.append(f"complete -c dagrow -n __fish_use_subcommand -f -a '{' '.join(name for name in words if name)}'")
    for name, options in words.items():
        seen = f"'__fish_seen_subcommand_from {name}'" if name else "__fish_use_subcommand"
        for option in options:
            flag = f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"
            lines.append(f"complete -c dagrow -n {seen} {flag}")
    return "\n".join(lines) + "\n"


SHELLS: Registry[Callable[[Words], str]] = Registry("shell", {"bash": _bash, "zsh": _zsh, "fish": _fish})
"""By name."""
