"""Funnels over public logs, against what other engines count on them."""

import csv
import gzip
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from resolvers.analysis.explanations import Explanation, Source
from resolvers.analysis.filters import EVERYTHING
from resolvers.analysis.funnel_answers import Buckets, answer
from resolvers.analysis.funnel_columns import Ints
from resolvers.analysis.funnel_groups import Breakdown
from resolvers.analysis.funnel_kernel import walk
from resolvers.analysis.funnel_rules import Rules
from resolvers.analysis.funnels import Counting, Entry, FunnelAnswer, FunnelDefinition, Order, Step
from resolvers.analysis.periods import Granularity, Period, epoch_us

SHARED = Path(__file__).resolve().parents[4] / "shared"
SHOP_STEPS = ("product_view", "add_to_cart", "cart", "shipping_details", "payment_details", "purchase")
INCIDENT_STEPS = ("New", "Active", "Resolved", "Closed")
ANCHORS = {Entry.FIRST: "first_anchor", Entry.ANY: "any_anchor"}
WINDOWS = {"1h": timedelta(hours=1), "1d": timedelta(days=1), "7d": timedelta(days=7), "30d": timedelta(days=30)}
NOW = datetime(2026, 3, 15, tzinfo=UTC)
EXPLAIN = Explanation(Source.LOG, 0, 0.0)
ALL_TIME = Period(datetime(2000, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC))
ANY_TIME = timedelta(days=3650)
YEARS = Buckets(Granularity.MONTH, "UTC", tuple(datetime(year, 1, 1, tzinfo=UTC) for year in range(2000, 2030)))

pytestmark = [
    pytest.mark.reference,
    pytest.mark.skipif(not SHARED.is_dir(), reason="the public reference data are not beside this repository"),
]


class Log(NamedTuple):
    """A log as columns: text ones under codes, with the texts they stand for."""

    subject: Ints
    time_us: Ints
    mask: np.ndarray[Any, np.dtype[np.uint32]]
    dimensions: dict[str, Breakdown]

    def where(self, rows: np.ndarray[Any, np.dtype[np.bool_]]) -> "Log":
        return Log(self.subject[rows], self.time_us[rows], self.mask[rows], {})


def coded(texts: Iterable[str]) -> tuple[Ints, list[str]]:
    values, codes = np.unique(list(texts), return_inverse=True)
    return codes.astype(np.int64), values.tolist()


def read(file: str, columns: tuple[str, str, str], form: str, steps: Sequence[str], by: Sequence[str] = ()) -> Log:
    """The log in ``file`` by its columns of subject, time and event."""
    with gzip.open(SHARED / "data" / file, "rt", encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    who, when, what = columns
    bits = {name: 1 << step for step, name in enumerate(steps)}
    times = [epoch_us(datetime.strptime(row[when], form).replace(tzinfo=UTC)) for row in rows]
    return Log(
        coded(row[who] for row in rows)[0],
        np.array(times),
        np.array([bits.get(row[what], 0) for row in rows], np.uint32),
        {name: Breakdown(name, *coded(row[name] for row in rows)) for name in by},
    )


@pytest.fixture(scope="module")
def shop() -> Log:
    columns = ("user_id", "timestamp", "event")
    by = ("platform", "acquisition_channel", "session_id")
    return read("ecom_funnel/ecom.csv.gz", columns, "%Y-%m-%d %H:%M:%S", SHOP_STEPS, by)


@pytest.fixture(scope="module")
def incidents() -> Log:
    columns = ("number", "sys_updated_at", "incident_state")
    return read("incidents/incident_event_log.csv.gz", columns, "%d/%m/%Y %H:%M", INCIDENT_STEPS)


def reference(name: str) -> dict[str, Any]:
    figures: dict[str, dict[str, Any]] = json.loads((SHARED / "reference" / f"{name}.json").read_text())
    return figures["duckdb"]


def funnel(
    log: Log,
    steps: Sequence[str],
    window: timedelta,
    entry: Entry,
    by: Sequence[Breakdown] = (),
    held: Ints | None = None,
    **rules: Any,
) -> FunnelAnswer:
    definition = FunnelDefinition(tuple(Step(name, EVERYTHING) for name in steps), window, entry, **rules)
    found = walk(log.subject, log.time_us, log.mask, Rules.of(definition, ALL_TIME.end), held=held)
    entries = [replace(one, codes=one.codes[found.entry]) for one in by]
    return answer(definition, ALL_TIME, found, buckets=YEARS, as_of=NOW, explain=EXPLAIN, by=entries)


def counts(found: FunnelAnswer) -> list[int]:
    return [step.count for step in found.steps]


def check(found: FunnelAnswer, expected: dict[str, Any], entry: Entry) -> None:
    assert counts(found) == expected[ANCHORS[entry]]
    if entry is Entry.FIRST:
        quantiles = [found.time_to_convert.median, found.time_to_convert.p90]
        known = expected["first_anchor_seconds_to_convert_p50_p90"]
        assert quantiles == ([None, None] if known is None else [round(Decimal(value), 6) for value in known])


@pytest.mark.parametrize("entry", Entry)
@pytest.mark.parametrize("window", ["7d", "30d"])
def test_incidents_whose_states_follow_at_later_times(incidents: Log, window: str, entry: Entry) -> None:
    expected = reference("incidents")[f"incident_{window}_strict"]
    check(funnel(incidents, INCIDENT_STEPS, WINDOWS[window], entry, strictly_later=True), expected, entry)


@pytest.mark.parametrize("entry", Entry)
@pytest.mark.parametrize("window", ["1h", "1d", "7d"])
def test_shopping_at_later_times(shop: Log, window: str, entry: Entry) -> None:
    expected = reference("ecom_funnel")[f"user_{window}_strict"]
    check(funnel(shop, SHOP_STEPS, WINDOWS[window], entry, strictly_later=True), expected, entry)


@pytest.mark.parametrize("entry", Entry)
@pytest.mark.parametrize(("later", "key"), [(True, ""), (False, "_ties_allowed")])
def test_sessions(shop: Log, later: bool, key: str, entry: Entry) -> None:
    expected = reference("ecom_funnel")[f"session_no_window{key}"]
    held = shop.dimensions["session_id"].codes[np.newaxis] + 1
    rules = {"strictly_later": later, "counting": Counting.SESSIONS}
    check(funnel(shop, SHOP_STEPS, ANY_TIME, entry, held=held, **rules), expected, entry)


@pytest.mark.parametrize("entry", Entry)
def test_shopping_in_any_order(shop: Log, entry: Entry) -> None:
    found = funnel(shop, SHOP_STEPS, ANY_TIME, entry, order=Order.ANY)
    assert counts(found) == reference("ecom_funnel")["user_any_order_no_window"]


def test_a_series_adds_up_to_the_whole(incidents: Log) -> None:
    found = funnel(incidents, INCIDENT_STEPS, WINDOWS["7d"], Entry.ANY)
    assert [sum(column) for column in found.series.counts] == counts(found) == [16_397, 7_969, 5_933, 3_352]


def test_a_week_of_shopping(shop: Log) -> None:
    assert counts(funnel(shop, SHOP_STEPS, WINDOWS["7d"], Entry.FIRST)) == [598, 194, 111, 47, 17, 4]
    assert counts(funnel(shop, SHOP_STEPS, WINDOWS["7d"], Entry.ANY)) == [598, 487, 353, 210, 109, 40]


@pytest.mark.parametrize("entry", Entry)
@pytest.mark.parametrize("window", ["1h", "1d", "7d"])
def test_shopping_within_a_window(shop: Log, window: str, entry: Entry) -> None:
    expected = reference("ecom_funnel")[f"user_{window}_ties_allowed"]
    check(funnel(shop, SHOP_STEPS, WINDOWS[window], entry), expected, entry)


@pytest.mark.parametrize("entry", Entry)
def test_shopping_within_any_time(shop: Log, entry: Entry) -> None:
    expected = reference("ecom_funnel")["user_no_window_ties_allowed"]
    check(funnel(shop, SHOP_STEPS, ANY_TIME, entry), expected, entry)


@pytest.mark.parametrize("entry", Entry)
@pytest.mark.parametrize(("column", "key"), [("platform", "platform"), ("acquisition_channel", "ch")])
def test_shopping_on_one_platform_or_from_one_channel(shop: Log, column: str, key: str, entry: Entry) -> None:
    breakdown = shop.dimensions[column]
    for value, expected in reference("ecom_funnel")[f"user_7d_strict_by_{key}"].items():
        alone = shop.where(breakdown.codes == list(breakdown.values).index(value))
        check(funnel(alone, SHOP_STEPS, WINDOWS["7d"], entry), expected, entry)


@pytest.mark.parametrize("entry", Entry)
def test_shopping_broken_down_by_channel(shop: Log, entry: Entry) -> None:
    found = funnel(shop, SHOP_STEPS, WINDOWS["7d"], entry, [shop.dimensions["acquisition_channel"]])
    by_channel = {group.keys[0].value: [step.count for step in group.steps] for group in found.groups}
    expected = reference("ecom_funnel")["user_7d_strict_by_ch"]
    assert by_channel == {channel: figures[ANCHORS[entry]] for channel, figures in expected.items()}


@pytest.mark.parametrize("entry", Entry)
@pytest.mark.parametrize("window", ["1d", "7d", "30d"])
def test_incidents_updated_in_the_same_minute(incidents: Log, window: str, entry: Entry) -> None:
    expected = reference("incidents")[f"incident_{window}_ties_allowed"]
    check(funnel(incidents, INCIDENT_STEPS, WINDOWS[window], entry), expected, entry)


def test_a_week_of_incidents(incidents: Log) -> None:
    assert counts(funnel(incidents, INCIDENT_STEPS, WINDOWS["7d"], Entry.ANY)) == [16_397, 7_969, 5_933, 3_352]
