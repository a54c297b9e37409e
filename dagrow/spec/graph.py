"""What a graph is: frozen data, one class per kind of entry. No tensors and no files here."""

from __future__ import annotations

import keyword
import re
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PlainSerializer,
    SerializeAsAny,
    model_validator,
)
from pydantic_core import PydanticCustomError, core_schema

from dagrow.errors import listed
from dagrow.layout import ChannelOrder, TensorLayout
from dagrow.ops import ACTIVATIONS, NORMS, Attention, Op, Pool, find_op, op_names
from dagrow.registry import one_of
from dagrow.spec.frozen import FrozenDict

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_EDGE = re.compile(r"\s*(\S+)\s*->\s*(\S+)\s*")
MAX_NAME = 80


class SpecPart(BaseModel):
    """Base of all spec entries: frozen, and unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def allowed_fields(cls, data: Any = None) -> list[str]:
        """The fields that an entry may have, for messages; ``data`` is the entry as written."""
        return list(cls.model_fields)

    @classmethod
    def annotation_of(cls, field: str) -> Any:
        """What a field holds; None if there is no such field."""
        found = cls.model_fields.get(field)
        return None if found is None else found.annotation


class SpecFile(SpecPart):
    """Base of what a whole file describes, which may say the ``version`` of its format."""

    @classmethod
    def allowed_fields(cls, data: Any = None) -> list[str]:
        """As of every entry, and the version."""
        return ["version", *super().allowed_fields(data)]


def _check_name(value: Any) -> Any:
    if not isinstance(value, str) or not _NAME.fullmatch(value) or len(value) > MAX_NAME:
        raise PydanticCustomError(
            "bad_name",
            "{value} is not a name: use a letter, then letters, digits and _ ({most} at most)",
            {"value": repr(value)[:MAX_NAME], "most": MAX_NAME},
        )
    if keyword.iskeyword(value) or keyword.issoftkeyword(value):
        raise PydanticCustomError("bad_name", "'{value}' is a word of Python; choose another name", {"value": value})
    return value


Name = Annotated[str, BeforeValidator(_check_name)]
Size = Annotated[int, Field(ge=1, le=1_000_000)]


class EdgeId(NamedTuple):
    """The two ends of an edge; written ``source -> target``."""

    source: str
    target: str

    def __str__(self) -> str:
        return f"{self.source} -> {self.target}"

    @classmethod
    def parse(cls, text: Any) -> EdgeId:
        """Reads ``"u -> v"``."""
        if isinstance(text, EdgeId):
            return text
        match = _EDGE.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise PydanticCustomError(
                "bad_edge",
                "{value} is not an edge: write 'source -> target'",
                {"value": repr(text)[:MAX_NAME]},
            )
        return cls(match[1], match[2])

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse,
            serialization=core_schema.plain_serializer_function_ser_schema(str, when_used="always"),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        return {"type": "string", "pattern": "->"}


_OP = one_of("op")


def _read_op(value: Any) -> Any:
    if isinstance(value, Op):
        return value
    fields = {"op": value} if isinstance(value, str) else value
    if not isinstance(fields, dict) or "op" not in fields:
        raise PydanticCustomError(
            "no_op",
            "an edge is an op name or a mapping with 'op: name'; ops: {allowed}",
            {"allowed": listed(op_names())},
        )
    return find_op(_OP.check(fields["op"])).model_validate(fields)


def _write_op(op: Op) -> Any:
    fields = op.model_dump(exclude_defaults=True)
    return {"op": op.name, **fields} if fields else op.name


Edge = Annotated[SerializeAsAny[Op], BeforeValidator(_read_op), PlainSerializer(_write_op)]


def _write_pool(pool: Pool | None) -> Any:
    if pool is None or not pool.has_window:
        return pool and pool.kind
    return pool.model_dump(exclude_defaults=True)


def _write_attention(attention: Attention | None) -> Any:
    return attention and attention.model_dump(exclude_defaults=True)


class InputSpec(SpecPart):
    """One input of the graph."""

    shape: tuple[Size, ...] = Field(
        min_length=1,
        max_length=4,
        description="one sample, without the batch: `[features]`, `[tokens, features]`, `[channels, length]`, "
        "`[channels, height, width]` or `[channels, depth, height, width]`",
    )
    layout: ChannelOrder | None = Field(
        default=None,
        description="which axis holds the channels (features); the others are positions, which share the weights. "
        "Left out, it is the last of two, the first of three or four. Not for a vector",
    )

    vocabulary: Size | None = Field(
        default=None,
        description="how many tokens there are: the input `[length]` holds whole numbers from 0 to this - 1, each of "
        "which only names something. `embedding` reads them. Left out, the values are numbers",
    )

    @model_validator(mode="after")
    def _tokens_stand_in_a_row(self) -> InputSpec:
        if self.vocabulary is not None and (len(self.shape) != 1 or self.layout is not None):
            raise ValueError(
                f"an input with a 'vocabulary' has one number per token: 'shape: [length]' without a layout, "
                f"not {list(self.shape)}"
            )
        return self

    @model_validator(mode="after")
    def _vectors_have_no_layout(self) -> InputSpec:
        if self.layout is not None and len(self.shape) == 1:
            raise ValueError(f"a vector {list(self.shape)} has no 'layout': its one axis holds the features")
        return self

    @property
    def values(self) -> TensorLayout:
        """The shape, and which of its axes holds the channels; tokens have one channel per word of the vocabulary.

        They are laid out as other token values are, ``[tokens, features]``: that is how `linear` edges, layer norms and
        global averages read them, and what attention takes.
        """
        if self.vocabulary is not None:
            return TensorLayout((*self.shape, self.vocabulary), axis=1, indexed=True)
        return TensorLayout.of(self.shape, self.layout)


class NodeSpec(SpecPart):
    """One node: merges its edges, then norm, activation, attention, pool, flatten, tokens, dropout, in that order."""

    size: Size | None = Field(
        default=None,
        description=(
            "how many features (channels) the node has; growth adds to it. May be left out where the edges "
            "fix it: only identity edges, or a concat of known sizes"
        ),
    )
    merge: Literal["sum", "concat", "multiply"] = Field(
        default="sum",
        description=(
            "how incoming edges are joined: added up (equal shapes), side by side in the order of the file, or "
            "multiplied value by value (equal shapes, identity edges only), as in gated units"
        ),
    )
    norm: Annotated[str, one_of(NORMS, also=("none",))] = Field(
        default="none",
        description=(
            "normalisation of the merged values. `batch`: each feature over the samples (vectors, maps). "
            "`layer`: all features of a sample together. `rms`: likewise, by their root mean square alone (vectors, "
            "tokens). `cap_batch`: as `batch`, but without learned numbers, and "
            "only where the deviation exceeds 1 (docs/explanation/nonparametric.md)"
        ),
    )
    activation: Annotated[str, one_of(ACTIVATIONS)] = Field(
        default="identity", description="the function applied to each value"
    )
    attention: Annotated[Attention | None, PlainSerializer(_write_attention)] = Field(
        default=None,
        description="`{heads: 4, causal: true}`: the features are query, key and value of each head, in this order, "
        "and tokens read one another. The node puts out a third of its `size`; the edges around it are the projections",
    )
    pool: Annotated[Pool | None, PlainSerializer(_write_pool)] = Field(
        default=None,
        description="pooling of maps after the activation: `{kind: ...}` or `global_average`",
    )
    flatten: bool = Field(
        default=False, description="maps or tokens become one vector, so that linear edges can follow"
    )
    tokens: bool = Field(
        default=False,
        description="maps become tokens `[positions, features]`, their positions in one row: patches of an image, say",
    )
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0, description="share of values set to 0 in training")

    @property
    def joined(self) -> str:
        """What the node makes of several edges, in a word."""
        return "product" if self.merge == "multiply" else self.merge


class GraphSpec(SpecPart):
    """A whole network: inputs, nodes, edges and outputs."""

    inputs: FrozenDict[Name, InputSpec] = Field(
        min_length=1, description="what the network reads, by name: `name: {shape: [...]}`, one or more"
    )
    nodes: FrozenDict[Name, NodeSpec] = Field(
        min_length=1, description="the layers' values, by name: `name: {fields of a node}`, one or more"
    )
    edges: FrozenDict[EdgeId, Edge] = Field(
        min_length=1,
        description="what leads from where to where: `source -> target: op`, or `source -> target: {op: ..., fields "
        "of the op}`",
    )
    outputs: tuple[str, ...] = Field(
        min_length=1,
        description="the nodes whose values are the answer; several outputs give a tuple, and their losses are "
        "added; a node or a list of nodes",
    )

    @model_validator(mode="before")
    @classmethod
    def _one_output(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("outputs"), str):
            return {**value, "outputs": [value["outputs"]]}
        return value
