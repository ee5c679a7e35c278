"""What the allocator is told."""

import asyncio
import gc
import platform
from types import SimpleNamespace

import pytest

from gateway import memory
from gateway.memory import Reclaiming, give_memory_back, spare_the_collector


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


async def test_what_is_free_is_given_back_once_the_process_has_grown(monkeypatch: pytest.MonkeyPatch) -> None:
    trimmed: list[int] = []
    held = [100]
    monkeypatch.setattr(memory, "_library", lambda: SimpleNamespace(malloc_trim=trimmed.append))
    monkeypatch.setattr(memory, "_resident", lambda: held[0] << 20)
    reclaim = Reclaiming()

    async def after(resident: int, *, large: bool = False) -> int:
        held[0] = resident
        begun = reclaim(large)
        if begun is not None:
            await begun
        return len(trimmed)

    assert [await after(resident) for resident in (163, 164, 200, 90, 153, 154)] == [0, 1, 1, 1, 1, 2]
    # For one who needs much, whatever there may be.
    assert [await after(150, large=True), await after(150, large=True)] == [3, 4]


async def test_now_and_then_less_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    trimmed: list[int] = []
    held = iter([100, 115, 116, 116, 120, 90, 105, 106, 106])
    over = asyncio.Event()

    async def pause(_: float) -> None:
        await asyncio.to_thread(lambda: None)

    def resident() -> int:
        try:
            return next(held) << 20
        except StopIteration:
            over.set()
            return 0

    monkeypatch.setattr(memory, "_library", lambda: SimpleNamespace(malloc_trim=trimmed.append))
    monkeypatch.setattr(memory, "_resident", resident)
    monkeypatch.setattr(memory.asyncio, "sleep", pause)
    task = asyncio.create_task(Reclaiming().often())
    await over.wait()
    task.cancel()
    assert len(trimmed) == 2


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="is about glibc")
async def test_heaps_are_smaller_after_they_were_trimmed() -> None:
    # Every second block of a MiB is let go of, which leaves gaps between the others.
    blocks = [bytearray(b"x" * (1 << 20)) for _ in range(128)]
    del blocks[::2]
    full = memory._resident()
    begun = Reclaiming()(large=True)
    assert begun is not None
    await begun
    assert memory._resident() < full
    assert len(blocks) == 64


def test_collections_are_rare() -> None:
    before = gc.get_threshold()
    try:
        spare_the_collector()
        assert gc.get_threshold()[0] == 100_000
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
