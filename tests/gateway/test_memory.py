"""What the allocator is told."""

import gc
import platform
from types import SimpleNamespace

import pytest

from gateway import memory
from gateway.memory import give_memory_back, spare_the_collector


def test_large_arrays_are_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[int, int] = {}
    monkeypatch.setattr(memory, "_library", lambda: SimpleNamespace(mallopt=told.__setitem__))
    give_memory_back()
    assert told == {-8: 2, -3: 4 << 20, -1: 32 << 20}


@pytest.mark.parametrize("library", [None, SimpleNamespace()])
def test_another_allocator_is_left_alone(monkeypatch: pytest.MonkeyPatch, library: object) -> None:
    monkeypatch.setattr(memory, "_library", lambda: library)
    give_memory_back()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="is about glibc")
def test_glibc_takes_what_it_is_told() -> None:
    library = memory._library()
    assert library is not None
    assert [library.mallopt(option, value) for option, value in memory._OPTIONS] == [1, 1, 1]


def test_collections_are_rare() -> None:
    before = gc.get_threshold()
    try:
        spare_the_collector()
        assert gc.get_threshold()[0] == 100_000
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
