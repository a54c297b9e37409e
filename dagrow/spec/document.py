"""YAML text to plain data, with the line of every entry. No tags, no Python objects, bounded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NoReturn

import yaml

from dagrow.errors import Problem, SpecError

Path = tuple[str, ...]

MAX_BYTES = 2_000_000
MAX_NESTING = 40
MAX_VALUES = 200_000
MAX_CHARACTERS = 4_000_000
MAX_KEY = 200
MAX_PROBLEMS = 50
# Longer digits stay text: Python refuses to convert or print very long ones.
_MAX_NUMBER = 100

_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"([-+]?)\.(inf|Inf|INF)")
_HALF = re.compile("[\ud800-\udfff]")
_NAN = re.compile(r"\.(nan|NaN|NAN)")


@dataclass(frozen=True)
class Document:
    """What a YAML file says.

    Attributes:
        data: the top-level mapping; all keys are strings.
        lines: path of each entry to its line, from 1: the key's line in a mapping, the value's in a list.
        problems: defects that leave the rest readable, such as a key given twice.
    """

    data: dict[str, Any]
    lines: dict[Path, int]
    problems: tuple[Problem, ...] = ()


def read_document(content: bytes | str, file: str | None = None) -> Document:
    """Reads a YAML file whose top level is a mapping.

    Args:
        content: the whole file, or one byte more than `MAX_BYTES` of it.
        file: its name, for the message.

    Raises:
        SpecError: if nothing can be made of the text; lesser defects are in `Document.problems`.
    """
    try:
        builder = _Builder()
        data = builder.top(_decoded(content))
        if data is None:
            raise _Unreadable("the file is empty")
        if not isinstance(data, dict):
            raise _Unreadable("the file must be a mapping: 'name: value' lines", builder.lines[()])
    except _Unreadable as error:
        raise SpecError([Problem((), error.message, error.line)], file) from None
    problems = builder.problems[:MAX_PROBLEMS]
    if len(builder.problems) > MAX_PROBLEMS:
        problems.append(Problem((), f"and {len(builder.problems) - MAX_PROBLEMS} more problems of this kind"))
    return Document(data, builder.lines, tuple(problems))


def read_value(text: str) -> Any:
    """Reads one YAML value, such as ``3``, ``relu`` or ``{size: 4}``.

    Raises:
        SpecError: if it is not YAML.
    """
    try:
        builder = _Builder()
        value = builder.top(_decoded(text))
    except _Unreadable as error:
        raise SpecError([Problem((), error.message)]) from None
    if builder.problems:
        raise SpecError([Problem((), problem.message) for problem in builder.problems])
    return value


def plain_scalar(text: str) -> Any:
    """What an unquoted scalar means in the YAML 1.2 core schema: null, a bool, a number, else the text."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > _MAX_NUMBER:
        return text
    if _INT.fullmatch(text):
        return int(text)
    if _OCTAL.fullmatch(text):
        return int(text[2:], 8)
    if _HEX.fullmatch(text):
        return int(text[2:], 16)
    if _FLOAT.fullmatch(text):
        return float(text)
    if infinite := _INFINITE.fullmatch(text):
        return float(f"{infinite[1]}inf")
    return float("nan") if _NAN.fullmatch(text) else text


class _Unreadable(Exception):
    """The text as a whole cannot be taken."""

    def __init__(self, message: str, line: int | None = None) -> None:
        self.message, self.line = message, line
        super().__init__(message)


def _decoded(content: bytes | str) -> str:
    if len(content) > MAX_BYTES:
        raise _Unreadable(f"more than {MAX_BYTES // 1_000_000} MB: this is no spec")
    if isinstance(content, str):
        return content
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _Unreadable(f"not UTF-8 text (byte 0x{content[error.start]:02x})", line) from None


def _too_deep(line: int) -> NoReturn:
    raise _Unreadable(f"nested more than {MAX_NESTING} levels deep", line)


def _too_many(line: int) -> NoReturn:
    raise _Unreadable(f"more than {MAX_VALUES} values, aliases counted each time they are used", line)


class _Composer(yaml.SafeLoader):
    """PyYAML's composer, bounded, and with a note of every explicit tag."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.tags: dict[int, str] = {}
        self._depth = 0
        self._count = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        is_key = isinstance(parent, yaml.MappingNode) and index is None
        self._depth += 1
        self._count += not is_key
        # The composer calls itself for each level: stop before Python's own limit does.
        if self._depth > MAX_NESTING + 1:
            _too_deep(line)
        if self._count > MAX_VALUES:
            _too_many(line)
        node = super().compose_node(parent, index)
        self._depth -= 1
        tag = getattr(event, "tag", None)
        if tag is not None:
            self.tags[id(node)] = str(tag)
        return node


def _composed(text: str) -> tuple[yaml.Node | None, dict[int, str]]:
    loader = None
    try:
        loader = _Composer(text)
        return loader.get_single_node(), loader.tags
    except _Unreadable:
        raise
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        code = error.character if isinstance(error.character, int) else ord(error.character)
        raise _Unreadable(f"the character U+{code:04X} is not allowed in YAML", line) from None
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error) from None
    except Exception as error:
        # PyYAML lets bare Python errors out for some malformed escapes and directives.
        line = getattr(loader, "line", 0) + 1
        raise _Unreadable(f"not valid YAML: {str(error)[:100]}", line) from None


def _syntax_error(error: yaml.MarkedYAMLError) -> _Unreadable:
    mark = error.problem_mark or error.context_mark
    line = None if mark is None else mark.line + 1
    what = error.problem or error.context or "unreadable"
    if "'\\t'" in what:
        return _Unreadable("a tab cannot indent YAML; use spaces", line)
    if "expected a single document" in (error.context or ""):
        return _Unreadable("a second document starts here; one file holds one", line)
    start = error.context_mark
    if start and error.context == "while scanning a simple key":
        return _Unreadable("not valid YAML: there is no ':' after this name", start.line + 1)
    opened = f", {error.context} that starts in line {start.line + 1}" if start and error.context else ""
    return _Unreadable(f"not valid YAML: {what}{opened}", line)


class _Builder:
    """Turns the node tree into data; collects lines and problems on the way."""

    def __init__(self) -> None:
        self.lines: dict[Path, int] = {}
        self.problems: list[Problem] = []
        self._tags: dict[int, str] = {}
        self._open: set[int] = set()
        self._values = 0
        self._section = 0
        self._characters = 0

    def top(self, text: str) -> Any:
        node, self._tags = _composed(text)
        if node is None:
            return None
        return self._value(node, (), node.start_mark.line + 1)

    def _value(self, node: yaml.Node, path: Path, line: int) -> Any:
        self.lines[path] = line
        self._values += 1
        if len(path) == 1:
            self._section = line
        if self._values > MAX_VALUES:
            # What an alias repeats has the line of its anchor, which is above the section that is too large.
            _too_many(max(line, self._section))
        if len(path) > MAX_NESTING:
            _too_deep(line)
        if id(node) in self._tags:
            self._report(path, f"the tag {self._tags[id(node)][:60]!r} is not taken; write the plain value", line)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, line)
        if id(node) in self._open:
            raise _Unreadable("an alias that contains itself", line)
        self._open.add(id(node))
        value = self._mapping(node, path) if isinstance(node, yaml.MappingNode) else self._list(node, path)
        self._open.remove(id(node))
        return value

    def _scalar(self, node: yaml.ScalarNode, line: int) -> Any:
        text = str(node.value)
        self._characters += len(text)
        if _HALF.search(text):
            raise _Unreadable("half of a surrogate pair stands where a character should be", line)
        if self._characters > MAX_CHARACTERS:
            raise _Unreadable("too much text, aliases counted each time they are used", line)
        return plain_scalar(text) if node.style is None else text

    def _list(self, node: yaml.Node, path: Path) -> list[Any]:
        return [
            self._value(item, (*path, str(index)), item.start_mark.line + 1) for index, item in enumerate(node.value)
        ]

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = self._key(key_node, path, line)
            if key is None:
                continue
            if key in entries:
                first = self.lines[(*path, key)]
                self._report((*path, key), f"'{key}' is given twice, first in line {first}", line)
                continue
            entries[key] = self._value(value_node, (*path, key), line)
        return entries

    def _key(self, node: yaml.Node, path: Path, line: int) -> str | None:
        if not isinstance(node, yaml.ScalarNode):
            self._report(path, "a key must be a name, not a list or a mapping", line)
            return None
        key = str(node.value)
        if len(key) > MAX_KEY or not key.isprintable():
            self._report(path, f"{key[:40]!r} cannot be a key: too long, or with control characters", line)
            return None
        return key

    def _report(self, path: Path, message: str, line: int) -> None:
        self.problems.append(Problem(path, message, line))
