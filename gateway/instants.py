"""Lists of instants as JSON: the buckets of a chart are the same for all its metrics, and whoever asks about a span."""

from collections import OrderedDict
from typing import Any

import orjson

_LISTS = 64
_LONGEST = 1_000


class EncodedInstants:
    """What the tuples of instants that were completed last are in an answer; a tuple never becomes another one."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, tuple[tuple[Any, ...], orjson.Fragment]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, value: object) -> orjson.Fragment | None:
        """What stands for this very list."""
        kept = self._kept.get(id(value))
        return kept[1] if kept is not None and kept[0] is value else None

    def keep(self, value: object, completed: list[Any]) -> Any:
        """What stands for a list that is ``completed``; it is kept where that can be."""
        if type(value) is not tuple or not 1 < len(value) <= _LONGEST:
            return completed
        encoded = orjson.Fragment(orjson.dumps(completed, option=orjson.OPT_UTC_Z))
        self._kept[id(value)] = value, encoded
        if len(self._kept) > _LISTS:
            self._kept.popitem(last=False)
        return encoded
