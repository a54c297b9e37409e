"""Sources of data bring their own fields: how a section is read and written, and which classes are refused."""

from typing import ClassVar

import pytest
import torch
from data_graphs import vector_dag
from pydantic import Field, ValidationError

from dagrow.data import SOURCES, Arrays, DataSource, Raw, load_data, register_source
from dagrow.errors import DagrowError, DataError
from dagrow.objectives import LOSSES
from dagrow.registry import rollback_on_error
from dagrow.spec import DataSpec


class Ones(DataSource):
    name: ClassVar[str] = "ones"

    count: int = Field(default=6, ge=2)
    size: int = Field(ge=1)

    def read(self, dag, loss, settings):
        if self.count > 100:
            raise DataError("too many ones")
        return Raw(Arrays((torch.ones(self.count, self.size),), (torch.arange(self.count) % 2,)))


class Lines(Ones):
    name: ClassVar[str] = "lines"
    main_field: ClassVar[str] = "size"


@pytest.fixture(autouse=True)
def registered():
    with rollback_on_error() as restore:
        register_source(Ones)
        register_source(Lines)
        yield
        restore()


def refused(**section):
    with pytest.raises(ValidationError) as caught:
        DataSpec.model_validate(section)
    return [(error["loc"], error["msg"]) for error in caught.value.errors()]


@pytest.mark.parametrize(
    ("section", "source", "written"),
    [
        ({"ones": {"size": 3}}, Ones(size=3), {"ones": {"count": 6, "size": 3}}),
        ({"lines": 3}, Lines(size=3), {"lines": 3, "count": 6}),
        ({"lines": 3, "count": 9}, Lines(size=3, count=9), {"lines": 3, "count": 9}),
        ({"lines": {"size": 3, "count": 9}}, Lines(size=3, count=9), {"lines": 3, "count": 9}),
        ({"lines": {"size": 3}, "count": 9}, Lines(size=3, count=9), {"lines": 3, "count": 9}),
        ({"ones": {"size": 3}, "dataset": None, "target": None}, Ones(size=3), {"ones": {"count": 6, "size": 3}}),
        ({}, SOURCES["dataset"](which="digits"), {"dataset": "digits"}),
        ({"csv": "a", "target": "b"}, SOURCES["csv"](path="a", target="b"), {"csv": "a", "target": "b"}),
    ],
)
def test_a_section_is_read_and_written(section, source, written):
    spec = DataSpec.model_validate({**section, "standardize": True})
    assert spec.source == source
    assert spec.model_dump() == {**written, "test_fraction": 0.2, "standardize": True, "augment": None}
    assert DataSpec.model_validate(spec.model_dump(mode="json")) == spec
    assert DataSpec(source=source, standardize=True) == spec


def test_what_is_wrong_is_told_where_it_stands():
    assert refused(ones={"size": 0, "counts": 1}, test_fraction=3) == [
        (("source", "ones", "size"), "Input should be greater than or equal to 1"),
        (("source", "ones", "counts"), "Extra inputs are not permitted"),
        (("test_fraction",), "Input should be less than 1"),
    ]
    assert refused(lines=0, count=1) == [
        (("source", "count"), "Input should be greater than or equal to 2"),
        (("source", "lines"), "Input should be greater than or equal to 1"),
    ]
    assert refused(ones=3) == [((), "'ones' takes a mapping of its fields: count, size")]
    assert refused(ones={"size": 3}, count=3) == [((), "Value error, 'count' goes with 'lines'")]
    assert refused(ones=None)[0][1].endswith(
        "give one source of dataset, npz, csv, table, images, arrays, text, in_memory, ones and lines, not none"
    )
    assert refused(source="ones")[0][1].startswith(
        "unknown field 'source'; allowed: dataset, npz, csv, table, images, arrays, text, in_memory, ones, lines, "
    )


def test_a_source_is_read_and_named_by_messages():
    dag, loss = vector_dag(3, 2), LOSSES["cross_entropy"]
    split = load_data(DataSpec(ones={"size": 3, "count": 10}), dag, loss, 0)
    assert (len(split.train), len(split.test)) == (8, 2)
    with pytest.raises(DataError, match=r"^source 'ones': too many ones$"):
        load_data(DataSpec(ones={"size": 3, "count": 101}), dag, loss, 0)


def test_incomplete_sources_are_refused():
    class NoRead(DataSource):
        name: ClassVar[str] = "no_read"

    class NoName(DataSource):
        def read(self, dag, loss, settings): ...

    class Taken(Ones):
        name: ClassVar[str] = "npz"

    class Reserved(Ones):
        name: ClassVar[str] = "test_fraction"

    class NoField(Ones):
        name: ClassVar[str] = "no_field"
        path_fields: ClassVar[tuple[str, ...]] = ("file",)

    class Beside(Ones):
        name: ClassVar[str] = "beside"
        main_field: ClassVar[str] = "size"
        csv: int = 3

    class Column(Ones):
        name: ClassVar[str] = "target"

    for source, message in {
        NoRead: "source of data 'no_read' lacks read",
        NoName: "the name of a source of data is a text, not None",
        Taken: "a source of data named 'npz' is registered already",
        Reserved: "a source of data named 'test_fraction' is registered already",
        NoField: "source of data 'no_field' has no field 'file', which its main_field or path_fields name",
        Beside: "field 'csv' of source of data 'beside' stands beside its name: choose another word",
        Column: "'target' stands beside another source of data: choose another name",
        dict: "register_source takes a subclass of dagrow.data.DataSource",
    }.items():
        with pytest.raises(DagrowError) as caught:
            register_source(source)
        assert str(caught.value) == message
    assert register_source(Ones) is Ones
