import csv
import gzip
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway.import_columns import time_reader
from gateway.import_plan import ImportPlan
from gateway.import_rows import LONGEST_LINE
from gateway.importer import BATCH, ImportSummary, import_file
from resolvers.analysis.events import Conflict, Event, Kind, Receipt, Rejection
from resolvers.analysis.intake import Refusal, validate
from resolvers.errors import BadInput

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SHARED = Path(__file__).parents[3] / "shared"
SALES = """order,who,when,quantity,price,country
A1,ada,2026-01-31 10:00:00,2,1.10,GB
A1,ada,2026-01-31 10:00:00,2,1.10,GB
C2,bob,2026-01-31 11:00:00,-1,5,FR
A3,,2026-01-31 12:00:00,1,5,FR
A4,eve,2026-02-31 12:00:00,1,5,FR
A5,"eve
x",2026-02-01,1,5,FR
A6,fay,2026-02-01 12:00:00,3,0.333,DE
"""
PLAN = {
    "maps": ["order_id=order", "subject=who", "occurredAt=when", "amount=quantity*price", "location=country"],
    "constants": ["kind=CONVERSION", "name=purchase", "currency=GBP"],
}


class Log:
    """A log of events in memory that takes items as the gateway's own does."""

    def __init__(self) -> None:
        self.events: dict[str, Event] = {}
        self.batches: list[int] = []

    async def ingest(self, items: Sequence[Mapping[str, Any]]) -> Receipt:
        self.batches.append(len(items))
        accepted = duplicates = 0
        conflicts, rejected = [], []
        for index, item in enumerate(items):
            event = validate(item, now=NOW, new_id=lambda at: "made")
            if isinstance(event, Refusal):
                rejected.append(Rejection(index, event.field, event.message))
                continue
            first = self.events.setdefault(event.id, event)
            if first is event:
                accepted += 1
            elif first.content == event.content:
                duplicates += 1
            else:
                conflicts.append(Conflict(index, event.id, first.occurred_at, NOW))
        return Receipt(accepted, duplicates, tuple(conflicts), tuple(rejected))


class Import:
    """An import of text into a log, and what is refused."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = Log()
        self.rejects_path = folder / "rejects.ndjson"

    async def run(self, content: str | bytes, name: str = "file.csv", **options: Any) -> ImportSummary:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return await import_file(path, ImportPlan.parse(**options), self.log.ingest, rejects_path=self.rejects_path)

    async def events(self, content: str | bytes, name: str = "file.csv", **options: Any) -> list[Event]:
        await self.run(content, name, **options)
        assert self.rejects() == []
        return list(self.log.events.values())

    def rejects(self) -> list[dict[str, Any]]:
        if not self.rejects_path.exists():
            return []
        return [json.loads(line) for line in self.rejects_path.read_text().splitlines()]


@pytest.fixture
def importing(tmp_path: Path) -> Import:
    return Import(tmp_path)


async def test_good_rows_go_in_and_bad_rows_are_explained(importing: Import) -> None:
    summary = await importing.run(SALES, **PLAN, conditions=["quantity > 0", "order not startswith C"])
    assert summary == ImportSummary(
        rows=7, bytes_read=len(SALES), skipped=1, accepted=3, duplicates=0, conflicts=0, rejected=3
    )
    assert [(reject["line"], reject["field"]) for reject in importing.rejects()] == [
        (6, "occurredAt"),
        (5, "subject"),
        (8, "subject"),
    ]
    assert importing.rejects()[0]["row"]["who"] == "eve"
    events = list(importing.log.events.values())
    assert [event.amount for event in events] == [Decimal("2.2"), Decimal("2.2"), Decimal("0.999")]
    assert events[2].kind is Kind.CONVERSION
    assert (events[2].currency, events[2].name, events[2].subject) == ("GBP", "purchase", "fay")
    assert events[2].dimensions == {"location": "DE"}
    assert events[2].occurred_at == datetime(2026, 2, 1, 12, tzinfo=UTC)


async def test_a_second_time_adds_nothing(importing: Import) -> None:
    await importing.run(SALES, **PLAN)
    stored = dict(importing.log.events)
    summary = await importing.run(SALES, **PLAN)
    assert (summary.accepted, summary.duplicates, summary.conflicts) == (0, 3, 0)
    assert importing.log.events == stored


async def test_a_changed_plan_is_a_conflict_and_another_kind_is_another_event(importing: Import) -> None:
    await importing.run(SALES, **PLAN)
    changed = {**PLAN, "constants": ["kind=CONVERSION", "name=sale", "currency=GBP"]}
    summary = await importing.run(SALES, **changed)
    assert (summary.accepted, summary.conflicts) == (0, 3)
    assert "taken" in importing.rejects()[-1]["reason"]
    changed = {**PLAN, "constants": ["kind=PRODUCT", "name=sale", "currency=GBP"]}
    assert (await importing.run(SALES, **changed)).accepted == 3


async def test_no_rejects_file_without_rejects(importing: Import) -> None:
    await importing.run("who\nada\n", maps=["subject=who"], constants=["kind=PRODUCT", "name=x"])
    assert not importing.rejects_path.exists()


async def test_every_sort_of_field(importing: Import) -> None:
    (event,) = await importing.events(
        "id;who;ms;ok;in;out;score;cost;n;flag;note;empty;feature;t\n"
        "7;ada;12.5;Yes;1000.0;5;0.5;1e-3;3;no; hi ;;chat;1767225600.5\n",
        maps=[
            "id=id",
            "subject=who",
            "duration_ms=ms",
            "success=ok",
            "inputTokens=in",
            "output_tokens=out",
            "score=score",
            "cost=cost",
            "properties.n:number=n",
            "properties.flag:boolean=flag",
            "properties.note=note",
            "properties.empty=empty",
            "request_type=empty",
            "feature=feature",
            "occurred_at=t",
        ],
        constants=["kind=AI_INTERACTION", "provider=openai", "model=gpt-4o", "requestType=chat", "assisted=true"],
        time_formats=["epoch"],
        delimiter=";",
    )
    assert (event.id, event.duration_ms, event.success, event.assisted) == ("7", 12.5, True, True)
    assert (event.input_tokens, event.output_tokens, event.score) == (1000, 5, 0.5)
    assert (event.cost, event.occurred_at) == (Decimal("0.001"), datetime(2026, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC))
    assert event.properties == {"n": 3, "flag": False, "note": "hi"}
    assert event.dimensions == {"provider": "openai", "model": "gpt-4o", "request_type": "chat", "feature": "chat"}


async def test_values_are_renamed(importing: Import) -> None:
    events = await importing.events(
        "e\nbuy\nlook\nleave\n",
        maps=["kind=e", "name=e"],
        constants=["subject=ada"],
        value_maps=["kind:buy=CONVERSION", "kind:*=PRODUCT", "name:look=view"],
    )
    assert [(event.kind.name, event.name) for event in events] == [
        ("CONVERSION", "buy"),
        ("PRODUCT", "view"),
        ("PRODUCT", "leave"),
    ]


async def test_ndjson_with_paths_packed_by_gzip(importing: Import) -> None:
    lines = [
        {"user": {"id": 17}, "e": "view", "meta": {"a": [1]}, "n": 2, "price": 0.1},
        {"user": {"id": None}, "e": "view"},
        {"user": {"id": {"x": 1}}, "e": "view"},
    ]
    content = "\n".join(json.dumps(line) for line in lines) + "\n[1]\n{bad\n\n"
    summary = await importing.run(
        gzip.compress(content.encode()),
        "rows.ndjson.gz",
        maps=["subject=user.id", "name=e", "properties.meta=meta", "amount=n*price"],
        constants=["kind=PRODUCT"],
    )
    (event,) = importing.log.events.values()
    assert (event.subject, event.amount, event.properties) == ("17", Decimal("0.2"), {"meta": {"a": [1]}})
    assert (summary.rows, summary.rejected) == (5, 4)
    assert {reject["line"]: reject["field"] for reject in importing.rejects()} == {
        2: "subject",
        3: "subject",
        4: None,
        5: None,
    }


async def test_ndjson_without_a_map_holds_events(importing: Import) -> None:
    item = {"kind": "PRODUCT", "name": "x", "subject": "ada", "dimensions": {"channel": "mail"}}
    content = json.dumps(item) + "\n" + json.dumps({**item, "id": "mine"}) + "\n"
    first, second = await importing.events(content, "rows.jsonl", constants=["channel=web", "source=file"])
    assert first.dimensions == second.dimensions == {"channel": "mail", "source": "file"}
    assert (first.id.startswith("row-"), second.id) == (True, "mine")


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ("ada,x,1", "amount"),
        ("ada,NaN,1", "amount"),
        ("ada,1e999999999,1", "amount"),
        (f"ada,{'1' * 70},1", "amount"),
        ("ada,1.0000000000001,1", "amount"),
        ("ada,1,-1", "amount"),
        ("ada,1", None),
        ("ada,1,2,3", None),
        ("\ud800,1,1", "subject"),
        ("a\x00b,1,1", "subject"),
        ("a" * (LONGEST_LINE + 5) + ",1,1", None),
        ('"' + "a" * 200_000 + '",1,1', None),
    ],
)
async def test_a_bad_row_spoils_nothing_but_itself(importing: Import, row: str, field: str | None) -> None:
    content = f"who,a,b\nbob,1,1\n{row}\neve,1,1\n".encode("utf-8", "surrogatepass")
    summary = await importing.run(
        content, maps=["subject=who", "amount=a*b"], constants=["kind=CONVERSION", "name=sale"]
    )
    assert [event.subject for event in importing.log.events.values()] == ["bob", "eve"]
    (reject,) = importing.rejects()
    assert (reject["line"], reject["field"], summary.rejected) == (3, field, 1)


async def test_large_files_go_in_batches(importing: Import, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = tmp_path / "many.csv"
    path.write_text("who\n" + "ada\n" * (2 * BATCH + 1))
    plan = ImportPlan.parse(maps=["subject=who"], constants=["kind=PRODUCT", "name=x"])
    summary = await import_file(
        path,
        plan,
        importing.log.ingest,
        rejects_path=importing.rejects_path,
        progress=lambda so_far: seen.append((so_far.rows, so_far.bytes_read)),
    )
    assert importing.log.batches == [BATCH, BATCH, 1]
    assert summary.accepted == 2 * BATCH + 1
    assert [rows for rows, _ in seen] == [BATCH, 2 * BATCH, 2 * BATCH + 1]
    assert seen[-1][1] == path.stat().st_size


async def test_what_ingest_raises_ends_the_import(importing: Import) -> None:
    async def fail(items: Sequence[Mapping[str, Any]]) -> Receipt:
        raise OSError("the database is away")

    path = importing.folder / "a.csv"
    path.write_text("who\nada\n")
    with pytest.raises(OSError, match="away"):
        await import_file(path, ImportPlan.parse(maps=["subject=who"]), fail, rejects_path=importing.rejects_path)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"maps": ["subject"]}, "map"),
        ({"maps": ["subject=who", "subject=a"]}, "map"),
        ({"maps": ["subject=nobody"]}, "map"),
        ({"maps": ["subject=who*nobody"]}, "map"),
        ({"maps": ["colour=who"]}, "map"),
        ({"maps": ["properties.=who"]}, "map"),
        ({"maps": ["properties.x:date=who"]}, "map"),
        ({}, "map"),
        ({"maps": ["subject=who"], "constants": ["success=perhaps"]}, "set"),
        ({"maps": ["subject=who"], "constants": ["occurred_at=yesterday"]}, "set"),
        ({"maps": ["subject=who"], "conditions": ["who"]}, "where"),
        ({"maps": ["subject=who"], "conditions": ["nobody > 1"]}, "map"),
        ({"maps": ["subject=who"], "value_maps": ["subject=x"]}, "value-map"),
        ({"maps": ["subject=who"], "value_maps": ["name:a=b"]}, "value-map"),
        ({"maps": ["subject=who"], "timezone": "Mars/Base"}, "timezone"),
        ({"maps": ["subject=who"], "timezone": "../etc/passwd"}, "timezone"),
        ({"maps": ["subject=who"], "encoding": "utf-99"}, "encoding"),
        ({"maps": ["subject=who"], "delimiter": ";;"}, "delimiter"),
        ({"maps": ["subject=who"], "format": "xml"}, "format"),
    ],
)
async def test_a_wrong_plan_is_refused_before_anything_is_stored(
    importing: Import, options: dict[str, Any], field: str
) -> None:
    with pytest.raises(BadInput) as refused:
        await importing.run("who,a\nada,1\n", **options)
    assert refused.value.field == field
    assert not importing.log.batches


@pytest.mark.parametrize(
    "content", [b"", gzip.compress(b"who\n" + b"ada\n" * 9000, mtime=0)[:60], b"\x1f\x8b broken", b"\xff\xfe"]
)
async def test_a_damaged_file_is_refused(importing: Import, content: bytes) -> None:
    with pytest.raises(BadInput):
        await importing.run(content, maps=["subject=who"], encoding="utf-16" if content == b"\xff\xfe" else "utf-8")


async def test_a_missing_file_is_refused(importing: Import) -> None:
    plan = ImportPlan.parse(maps=["subject=who"])
    with pytest.raises(BadInput):
        await import_file(Path("nowhere.csv"), plan, importing.log.ingest, rejects_path=importing.rejects_path)


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ("n > 9", ["c"]),
        ("n >= 9.0", ["b", "c"]),
        ("n<10", ["a", "b"]),
        ("n <= 1e1", ["a", "b", "c"]),
        ("n = 9", ["b"]),
        ("n != 9", ["a", "c", "d", "e"]),
        ("n exists", ["a", "b", "c", "e"]),
        ("n not exists", ["d"]),
        ("n = x", ["e"]),
        ("n != x", ["a", "b", "c", "d"]),
        ("k > bb", ["c", "d", "e"]),
        ("k startswith b", ["b"]),
        ("k not startswith b", ["a", "c", "d", "e"]),
    ],
)
async def test_conditions(importing: Import, condition: str, kept: list[str]) -> None:
    await importing.run(
        "k,n\na,-1\nb,9.00\nc,10\nd, \ne,x\n",
        maps=["subject=k"],
        constants=["kind=PRODUCT", "name=x"],
        conditions=[condition],
    )
    assert [event.subject for event in importing.log.events.values()] == kept


@pytest.mark.parametrize(
    ("text", "formats", "zone", "expected"),
    [
        ("2023-11-16 18:15:46.6805900", [], "UTC", "2023-11-16T18:15:46.680590+00:00"),
        ("2026-07-01", [], "Europe/Berlin", "2026-06-30T22:00:00+00:00"),
        ("2026-07-01T12:00:00z", [], "Europe/Berlin", "2026-07-01T12:00:00+00:00"),
        ("2026-07-01T12:00:00-03:00", [], "Europe/Berlin", "2026-07-01T15:00:00+00:00"),
        ("2026-03-29 02:30:00", [], "Europe/Berlin", "2026-03-29T01:30:00+00:00"),
        ("2026-10-25 02:30:00", [], "Europe/Berlin", "2026-10-25T00:30:00+00:00"),
        ("31/01/2026 10:05", ["%d/%m/%Y %H:%M"], "UTC", "2026-01-31T10:05:00+00:00"),
        ("01/31/2026", ["%d/%m/%Y", "%m/%d/%Y"], "UTC", "2026-01-31T00:00:00+00:00"),
        ("1767225600", ["epoch"], "Asia/Tokyo", "2026-01-01T00:00:00+00:00"),
        ("1767225600123", ["epoch_ms"], "UTC", "2026-01-01T00:00:00.123000+00:00"),
    ],
)
def test_times(text: str, formats: list[str], zone: str, expected: str) -> None:
    assert time_reader(formats, zone)(text) == expected


@pytest.mark.parametrize("text", ["", "soon", "31/01/2026", "1e99", "0001-01-01T00:00:00+14:00"])
@pytest.mark.parametrize("formats", [[], ["epoch"]])
def test_unreadable_times(text: str, formats: list[str]) -> None:
    with pytest.raises(ValueError, match="time"):
        time_reader(formats, "UTC")(text)


@pytest.mark.reference
@pytest.mark.skipif(not SHARED.exists(), reason="the reference data is not beside the repository")
async def test_a_years_sales_come_out_exact(tmp_path: Path) -> None:
    reference = json.loads((SHARED / "reference/online_retail.json").read_text())["duckdb_pandas"]["clean"]
    whole = SHARED / "data/online_retail/online_retail.csv.gz"
    plan = ImportPlan.parse(
        maps=["order_id=InvoiceNo", "subject=CustomerID", "occurred_at=InvoiceDate", "amount=Quantity*UnitPrice"],
        constants=["kind=CONVERSION", "name=purchase", "currency=GBP"],
        conditions=["CustomerID exists", "InvoiceNo not startswith C", "Quantity > 0", "UnitPrice > 0"],
    )
    total = Decimal(0)
    subjects, orders = set(), set()

    async def add_up(items: Sequence[Mapping[str, Any]]) -> Receipt:
        nonlocal total
        for item in items:
            total += Decimal(item["amount"])
            subjects.add(item["subject"])
            orders.add(item["orderId"])
        return Receipt(accepted=len(items))

    summary = await import_file(whole, plan, add_up, rejects_path=tmp_path / "rejects")
    assert (summary.accepted, len(subjects), len(orders)) == (
        reference["rows"],
        reference["customers"],
        reference["orders"],
    )
    assert total == Decimal(reference["revenue"])


@pytest.mark.reference
@pytest.mark.skipif(not SHARED.exists(), reason="the reference data is not beside the repository")
async def test_a_shops_clicks_all_go_in(tmp_path: Path) -> None:
    log = Log()
    path = SHARED / "data/ecom_funnel/ecom.csv.gz"
    plan = ImportPlan.parse(
        maps=["kind=event", "name=event", "subject=user_id", "session=session_id", "occurred_at=timestamp"],
        value_maps=["kind:purchase=CONVERSION", "kind:*=PRODUCT"],
    )
    for accepted, duplicates in ((31_106, 0), (0, 31_106)):
        summary = await import_file(path, plan, log.ingest, rejects_path=tmp_path / "rejects")
        assert (summary.accepted, summary.duplicates, summary.rejected) == (accepted, duplicates, 0)
    expected = json.loads((SHARED / "reference/ecom_funnel.json").read_text())["duckdb"]["events"]
    with gzip.open(path, "rt") as file:
        assert sum(1 for _ in csv.reader(file)) - 1 == len(log.events)
    for name, count in expected.items():
        assert sum(event.name == name for event in log.events.values()) == count
