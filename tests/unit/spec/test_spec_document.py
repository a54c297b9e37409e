"""YAML text to data: lines, the 1.2 core schema, what is refused."""

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagrow.errors import DagrowError, SpecError
from dagrow.spec.document import MAX_BYTES, MAX_NESTING, MAX_VALUES, read_document, read_value


def refused(content: bytes | str) -> tuple[str, int | None]:
    with pytest.raises(SpecError) as caught:
        read_document(content, "f.yaml")
    (problem,) = caught.value.problems
    assert str(caught.value).startswith("f.yaml:")
    return problem.message, problem.line


def test_lines_of_keys_and_items():
    document = read_document("# c\na:\n  on: 1\n  y:\n    2\nb: [3,\n  4]\nc:\n  - d: 5\n")
    assert document.data == {"a": {"on": 1, "y": 2}, "b": [3, 4], "c": [{"d": 5}]}
    assert document.problems == ()
    expected = {"a": 2, "a on": 3, "a y": 4, "b": 6, "b 0": 6, "b 1": 7, "c": 8, "c 0": 9, "c 0 d": 9}
    assert {" ".join(path): line for path, line in document.lines.items() if path} == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("on", "on"),
        ("n", "n"),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("12", 12),
        ("-3", -3),
        ("+4", 4),
        ("0o17", 15),
        ("017", 17),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("2.", 2.0),
        ("-.inf", -math.inf),
        ("1:30", "1:30"),
        ("2020-01-01", "2020-01-01"),
        ("'12'", "12"),
        ('"true"', "true"),
        ("'null'", "null"),
        ("=", "="),
        ("x -> h", "x -> h"),
        ("../x.npz", "../x.npz"),
        ("{size: 4}", {"size": 4}),
        ("[1, two]", [1, "two"]),
    ],
)
def test_core_schema(text, value):
    read = read_value(text)
    assert read == value
    assert type(read) is type(value)


def test_nan_and_long_digits():
    assert math.isnan(read_value(".nan"))
    assert read_value("9" * 6000) == "9" * 6000
    assert read_value("0x" + "f" * 6000) == "0x" + "f" * 6000


def test_keys_are_always_strings():
    assert read_document("1: a\ntrue: b\n~: c\n1.5: d\n").data == {
        "1": "a",
        "true": "b",
        "~": "c",
        "1.5": "d",
    }


def test_aliases_are_expanded():
    document = read_document("a: &h {size: 2}\nb: *h\nc: *h\n")
    assert document.data["c"] == {"size": 2}
    assert document.lines["c",] == 3
    document.data["b"]["size"] = 3
    assert document.data["a"] == {"size": 2}


def test_all_small_defects_are_collected():
    document = read_document("a: 1\nb: {c: 1, d: 2,\n  c: 3}\na: 2\n[x]: 3\ne: !!python/tuple [1]\nf: !g h\n")
    found = [(problem.line, problem.path, problem.message) for problem in document.problems]
    assert found == [
        (3, ("b", "c"), "'c' is given twice, first in line 2"),
        (4, ("a",), "'a' is given twice, first in line 1"),
        (5, (), "a key must be a name, not a list or a mapping"),
        (6, ("e",), "the tag 'tag:yaml.org,2002:python/tuple' is not taken; write the plain value"),
        (7, ("f",), "the tag '!g' is not taken; write the plain value"),
    ]
    assert document.data["a"] == 1
    assert document.data["b"]["c"] == 1


def test_many_defects_are_cut():
    problems = read_document("a: 1\n" * 90).problems
    assert len(problems) == 51
    assert problems[-1].message == "and 39 more problems of this kind"


def test_a_key_that_a_terminal_cannot_show():
    document = read_document('"a\\e[31m": 1\n"\\ud800": 1\n' + "k" * 300 + ": 2\n")
    assert [problem.line for problem in document.problems] == [1, 2, 3]
    assert document.data == {}


@pytest.mark.parametrize(
    ("content", "message", "line"),
    [
        (b"", "the file is empty", None),
        (b"# only a comment\n", "the file is empty", None),
        (b"\n- a\n- b\n", "the file must be a mapping", 2),
        (b"hello", "the file must be a mapping", 1),
        (b"a: 1\n\xff\xfe", "not UTF-8 text (byte 0xff)", 2),
        ("a: 1".encode("utf-16"), "not UTF-8 text", 1),
        (b"a: 1\nb: \x07\n", "the character U+0007 is not allowed", 2),
        (b"a: 1\nb:\n\tc: 1\n", "a tab cannot indent YAML; use spaces", 3),
        (b"a: 1\n---\nb: 2\n", "a second document starts here", 2),
        (b"a: [1,\n\nb: 2\n", "a flow sequence that starts in line 1", 4),
        (b"a: {b: 1\n", "that starts in line 1", 2),
        (b"a: *b\n", "found undefined alias 'b'", 1),
        (b"a: 1\nb: &x [*x]\n", "an alias that contains itself", 2),
        (b'a: 1\nb: "\\UFFFFFFFF"\n', "not valid YAML", 2),
        (b'a: "\\q"\n', "not valid YAML", 1),
        (b"%YAML 1." + b"9" * 5000 + b"\n---\na: 1\n", "not valid YAML", 1),
    ],
)
def test_refused_text(content, message, line):
    found, at = refused(content)
    assert message in found
    assert at == line


def test_too_large():
    assert "more than 2 MB" in refused(b"#" * (MAX_BYTES + 1))[0]


def test_too_deep():
    def nested(levels: int) -> str:
        return "a: " + "[" * levels + "]" * levels

    read_document(nested(MAX_NESTING - 1))
    for levels in (MAX_NESTING + 1, 100_000):
        assert f"more than {MAX_NESTING} levels" in refused(nested(levels))[0]


def test_too_deep_through_aliases():
    lines = ["a0: &a0 [1]"] + [f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 60)]
    assert f"more than {MAX_NESTING} levels" in refused("\n".join(lines))[0]


def test_alias_bombs():
    lines = ["a0: &a0 [1]"]
    lines += [f"a{i}: &a{i} [" + ", ".join([f"*a{i - 1}"] * 10) + "]" for i in range(1, 12)]
    assert f"more than {MAX_VALUES} values" in refused("\n".join(lines))[0]
    text = "a: &a " + "x" * 100_000 + "\nb: [" + ", ".join(["*a"] * 100) + "]"
    assert "too much text" in refused(text)[0]


def test_too_many_values(monkeypatch):
    monkeypatch.setattr("dagrow.spec.document.MAX_VALUES", 1000)
    # The top, the list and 998 items.
    assert len(read_document("a: [" + "1," * 998 + "]").data["a"]) == 998
    assert "more than 1000 values" in refused("a: [" + "1," * 999 + "]")[0]
    assert len(read_document("".join(f"k{i}: 1\n" for i in range(999))).data) == 999
    assert refused("".join(f"k{i}: 1\n" for i in range(2000)))[1] == 1000


@given(st.one_of(st.binary(max_size=200), st.text(alphabet="ab:-[]{}&*!%#>|'\"\\?,\n\t 1~<", max_size=80)))
def test_any_text_reads_or_is_refused(content):
    with contextlib.suppress(DagrowError):
        assert isinstance(read_document(content).data, dict)


def test_half_a_character_is_refused():
    """Python would keep it, and could not print it."""
    assert refused('a: 1\nb: "x\\ud800"\n') == ("half of a surrogate pair stands where a character should be", 2)
