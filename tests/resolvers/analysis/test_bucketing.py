"""Places and shares: the published vectors, evenness, and that shares which grow keep whom they had."""

import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

from resolvers.analysis.bucketing import SPAN, Purpose, chosen, place, within

PLACES = st.integers(0, SPAN - 1)
WEIGHTS = st.lists(st.integers(0, 1_000), min_size=1, max_size=8).filter(any)


def _vectors() -> list[list[str]]:
    page = (Path(__file__).parents[3] / "docs" / "bucketing.md").read_text()
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if re.match(r"\| `.*\d \|$", line)]
    assert len(rows) == 8
    return rows


@pytest.mark.parametrize("row", _vectors(), ids=lambda row: " ".join(row[:3]))
def test_the_published_vectors_hold(row: list[str]) -> None:
    purpose, salt, unit = (cell.strip("`") for cell in row[:3])
    found = place(Purpose(purpose), "" if salt == "*(empty)*" else salt, unit)
    assert [found, found * 10_000 // SPAN, chosen(found, [1, 1]), chosen(found, [20, 30, 50])] == list(
        map(int, row[3:])
    )


@given(PLACES, st.integers(0, 1_000), st.integers(0, 1_000), st.integers(1, 1_000))
def test_who_is_within_stays_within_as_a_share_grows(at: int, parts: int, more: int, whole: int) -> None:
    assert within(at, parts + more, whole) or not within(at, parts, whole)


@given(PLACES, WEIGHTS)
def test_a_weight_of_nothing_gets_nobody_and_shares_have_no_gap(at: int, weights: list[int]) -> None:
    index = chosen(at, weights)
    assert weights[index] > 0
    before = sum(weights[:index])
    assert before * SPAN <= at * sum(weights) < (before + weights[index]) * SPAN


def test_weights_that_are_all_zero_choose_nobody() -> None:
    with pytest.raises(ValueError, match="all 0"):
        chosen(5, [0, 0])


def test_shares_come_out_as_weighed_and_purposes_know_nothing_of_each_other() -> None:
    units = [f"user-{number}" for number in range(100_000)]
    weights = [20, 30, 50]
    variants = [chosen(place(Purpose.VARIANT, "one", unit), weights) for unit in units]
    counts = Counter(variants)
    assert chisquare([counts[0], counts[1], counts[2]], [20_000, 30_000, 50_000]).pvalue > 1e-4
    for purpose, salt in ((Purpose.TRAFFIC, "one"), (Purpose.VARIANT, "two")):
        other = [within(place(purpose, salt, unit), 1, 2) for unit in units]
        table = Counter(zip(variants, other, strict=True))
        assert chi2_contingency([[table[v, o] for o in (False, True)] for v in range(3)]).pvalue > 1e-4
