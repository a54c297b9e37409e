"""An immutable mapping for frozen specs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar, get_args

from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema

K = TypeVar("K")
V = TypeVar("V")


class FrozenDict(dict[K, V]):
    """A dict that cannot be changed; an edit makes a new one with `replacing`."""

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("specs are frozen: make a new one with model_copy or replacing()")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self.items()))

    def __copy__(self) -> FrozenDict[K, V]:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenDict[K, V]:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)

    def replacing(self, changes: Mapping[K, V], removed: tuple[K, ...] = ()) -> FrozenDict[K, V]:
        """The same mapping with ``changes`` on top and without the keys ``removed``; order is kept."""
        kept = {key: value for key, value in self.items() if key not in removed}
        return FrozenDict({**kept, **changes})

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        arguments = get_args(source) or (Any, Any)
        inner = handler.generate_schema(dict[arguments])  # type: ignore[valid-type, misc]
        freeze: Callable[[Any], FrozenDict[Any, Any]] = cls
        return core_schema.no_info_after_validator_function(
            freeze,
            inner,
            serialization=core_schema.wrap_serializer_function_ser_schema(_as_dict, schema=inner),
        )


def _as_dict(value: FrozenDict[Any, Any], handler: Callable[[Any], Any]) -> Any:
    return handler(dict(value))
