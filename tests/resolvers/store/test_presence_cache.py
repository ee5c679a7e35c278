"""The sets that a process keeps: those used last, within a budget."""

import numpy as np

from resolvers.analysis.code_sets import EMPTY, CodeSet
from resolvers.store.presence_cache import PresenceCache


def of(size: int) -> CodeSet:
    return CodeSet.of(np.arange(0, 1_000_000 * size, 1_000_000))


def test_sets_used_longest_ago_make_room() -> None:
    cache = PresenceCache(budget=10_000)
    for key in "abc":
        cache.keep(key, of(300))
    assert cache.get("a") is not None
    cache.keep("d", of(300))
    assert [key for key in "abcd" if cache.get(key) is not None] == ["a", "c", "d"]
    assert cache.size <= cache.budget


def test_a_set_too_large_to_keep_leaves_nothing_behind() -> None:
    cache = PresenceCache(budget=1_000)
    cache.keep("small", of(10))
    cache.keep("large", of(10_000))
    assert (cache.get("small"), cache.get("large"), cache.size) == (None, None, 0)


def test_a_set_is_made_once() -> None:
    cache = PresenceCache()
    made: list[CodeSet] = []

    def make() -> CodeSet:
        made.append(of(5))
        return made[-1]

    assert cache.made("a", make) is cache.made("a", make)
    assert len(made) == 1
    size = cache.size
    cache.keep("a", of(500))
    assert cache.size == size
    cache.keep("none", EMPTY)
    assert cache.get("none") is EMPTY
