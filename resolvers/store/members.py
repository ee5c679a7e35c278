"""The members of segments as they were last found: read, remembered, replaced."""

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from random import getrandbits

import numpy as np
from sqlalchemy import BigInteger, Column, DateTime, Integer, LargeBinary
from sqlmodel import Field, SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.filters import InSegment
from resolvers.analysis.members import Members
from resolvers.errors import BadInput, Pending
from resolvers.store.database import driver
from resolvers.store.segment_codec import Damaged, opened, pack_subjects, seal, unpack_subjects

BUDGET = 32 << 20
_KNOWN = """
SELECT s.segment_id, s.name, CASE WHEN m.of_rules = s.edition THEN m.edition END AS edition
FROM segment s LEFT JOIN segment_members m USING (tenant_id, segment_id)
WHERE s.tenant_id = $1 AND (s.segment_id = ANY($2::integer[]) OR s.name = ANY($3::text[]))
"""
_CODES = (
    "SELECT segment_id, edition, codes FROM segment_members WHERE tenant_id = $1 AND segment_id = ANY($2::integer[])"
)
_KEEP = """
INSERT INTO segment_members (tenant_id, segment_id, edition, of_rules, as_of, position, size, codes)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (tenant_id, segment_id) DO UPDATE SET edition = excluded.edition, of_rules = excluded.of_rules,
    as_of = excluded.as_of, position = excluded.position, size = excluded.size, codes = excluded.codes
"""


class SegmentMembersRow(SQLModel, table=True):
    """The members of a segment; ``edition`` is another number, drawn at random, whenever they change."""

    __tablename__ = "segment_members"

    tenant_id: int = Field(primary_key=True)
    segment_id: int = Field(sa_column=Column(Integer, primary_key=True))
    edition: int = Field(sa_column=Column(BigInteger, nullable=False))
    of_rules: int
    """The edition of the rules that they meet."""
    as_of: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    position: int = Field(sa_column=Column(BigInteger, nullable=False))
    """How far the log had got."""
    size: int
    codes: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    rolled_edition: int | None = Field(default=None, sa_column=Column(BigInteger))
    """The members whose events the segment's rollups add up; None where they add up nothing."""
    rolled_to: int | None = Field(default=None, sa_column=Column(BigInteger))
    """The position up to which they do; None where that proved too much."""
    rolled: bytes | None = Field(default=None, sa_column=Column(LargeBinary))


@dataclass(frozen=True, slots=True)
class Finding:
    """Members as they were found: by which rules, when, at which position of the log."""

    members: Members
    of_rules: int
    as_of: datetime
    position: int


class MemberMemory:
    """Members as a process last needed them, within a budget of bytes; an edition is drawn anew for every change."""

    def __init__(self, budget: int = BUDGET) -> None:
        self.budget = budget
        self.size = 0
        """Bytes held."""
        self._members: OrderedDict[int, Members] = OrderedDict()

    def get(self, edition: int) -> Members | None:
        found = self._members.get(edition)
        if found is not None:
            self._members.move_to_end(edition)
        return found

    def keep(self, edition: int, members: Members) -> None:
        """Remember members, in place of those used longest ago."""
        if edition not in self._members:
            self._members[edition] = members
            self.size += members.nbytes
        while self.size > self.budget:
            self.size -= self._members.popitem(last=False)[1].nbytes


class MemberRepository:
    """Reads and replaces the members of one tenant's segments."""

    def __init__(self, session: AsyncSession, memory: MemberMemory) -> None:
        self.session = session
        self.memory = memory

    async def of(self, tenant_id: int, asked: Sequence[InSegment]) -> dict[int | str, Members]:
        """The members of each segment that is asked for, as it is named.

        Raises BadInput for one that there is not, Unavailable for one whose members are still to be found.
        """
        if not asked:
            return {}
        numbers = [leaf.segment for leaf in asked if isinstance(leaf.segment, int)]
        names = [leaf.segment for leaf in asked if isinstance(leaf.segment, str)]
        rows = await (await driver(self.session)).fetch(_KNOWN, tenant_id, numbers, names)
        known: dict[int | str, tuple[int, int | None]] = {}
        for row in rows:
            known[row["segment_id"]] = known[row["name"]] = row["segment_id"], row["edition"]
        missing = next((leaf for leaf in asked if leaf.segment not in known), None)
        if missing is not None:
            raise no_segment(missing)
        found = await self._members(tenant_id, dict(known[leaf.segment] for leaf in asked))
        return {leaf.segment: found[known[leaf.segment][0]] for leaf in asked}

    async def number(self, tenant_id: int, segment: int | str) -> int:
        """The number of a segment that there is."""
        if isinstance(segment, int):
            return segment
        query = "SELECT segment_id FROM segment WHERE tenant_id = $1 AND name = $2"
        return int(await (await driver(self.session)).fetchval(query, tenant_id, segment) or 0)

    async def _members(self, tenant_id: int, editions: Mapping[int, int | None]) -> dict[int, Members]:
        """The members of each segment, which are to be of an edition."""
        found: dict[int, Members] = {}
        for segment_id, edition in editions.items():
            if edition is None:
                raise _pending()
            held = self.memory.get(edition)
            if held is not None:
                found[segment_id] = held
        missing = [segment_id for segment_id in editions if segment_id not in found]
        rows = await (await driver(self.session)).fetch(_CODES, tenant_id, missing) if missing else ()
        sealed = {row["segment_id"]: row for row in rows}
        for segment_id in missing:
            row, edition = sealed.get(segment_id), editions[segment_id]
            if row is None or edition is None or row["edition"] != edition:
                # They were replaced since they were looked for: by whom the version is advanced, so that nobody keeps
                # this.
                raise _pending(seconds=0.1)
            try:
                found[segment_id] = unsealed(row["codes"], tenant_id, segment_id, edition)
            except Damaged:
                await self.due(tenant_id, [segment_id])
                raise _pending() from None
            self.memory.keep(edition, found[segment_id])
        return found

    async def sealed(self, tenant_id: int, segment_ids: Collection[int]) -> Mapping[int, Members]:
        """The members of segments as they are now, whatever rules they are of; raises Unavailable where damaged."""
        rows = await (await driver(self.session)).fetch(
            "SELECT segment_id, edition FROM segment_members WHERE tenant_id = $1 AND segment_id = ANY($2::integer[])",
            tenant_id,
            list(segment_ids),
        )
        return await self._members(tenant_id, dict(map(tuple, rows)))

    async def due(self, tenant_id: int, segment_ids: Sequence[int]) -> None:
        """Have upkeep find the members of segments anew."""
        await (await driver(self.session)).execute(
            "UPDATE segment SET due_at = now() WHERE tenant_id = $1 AND segment_id = ANY($2::integer[])",
            tenant_id,
            list(segment_ids),
        )

    async def replace(self, tenant_id: int, segment_id: int, found: Finding) -> bool | None:
        """Keep what was found, unless the rules have changed or something newer is kept: then return None.

        Returns whether answers may be other ones now.
        """
        connection = await driver(self.session)
        edition = await connection.fetchval(
            "SELECT edition FROM segment WHERE tenant_id = $1 AND segment_id = $2 FOR UPDATE", tenant_id, segment_id
        )
        if edition != found.of_rules:
            return None
        row = await connection.fetchrow(
            "SELECT edition, of_rules, as_of, codes FROM segment_members WHERE tenant_id = $1 AND segment_id = $2",
            tenant_id,
            segment_id,
        )
        if row is not None and row["of_rules"] == edition and row["as_of"] > found.as_of:
            return None
        same = row is not None and _same(found.members, row["codes"], _place(tenant_id, segment_id, row["edition"]))
        number = row["edition"] if same and row is not None else getrandbits(63)
        place = _place(tenant_id, segment_id, number)
        codes = row["codes"] if same and row is not None else seal(pack_subjects(found.members.codes), place)
        details = (found.of_rules, found.as_of, found.position, found.members.size, codes)
        await connection.execute(_KEEP, tenant_id, segment_id, number, *details)
        await connection.execute(
            "UPDATE segment SET problem = NULL, due_at = $3::timestamptz + make_interval(secs => refresh_seconds)"
            " WHERE tenant_id = $1 AND segment_id = $2",
            tenant_id,
            segment_id,
            found.as_of,
        )
        return not same or row is None or row["of_rules"] != found.of_rules


def no_segment(leaf: InSegment) -> BadInput:
    """What to say of a condition that names a segment which there is not."""
    by_name = isinstance(leaf.segment, str)
    said = f'called "{leaf.segment}"; saveSegment makes one.' if by_name else "with this id."
    return BadInput(f"There is no segment {said}", field=leaf.field)


def unsealed(sealed: bytes, tenant_id: int, segment_id: int, edition: int) -> Members:
    """Members as they were written in an edition; raises Damaged."""
    return Members(unpack_subjects(opened(sealed, _place(tenant_id, segment_id, edition))), edition)


def _same(members: Members, sealed: bytes, place: str) -> bool:
    try:
        return np.array_equal(unpack_subjects(opened(sealed, place)), members.codes)
    except Damaged:
        return False


def _pending(*, seconds: float = 2) -> Pending:
    return Pending("The members of a segment are still being found; try again.", retry_after=seconds)


def _place(tenant_id: int, segment_id: int, edition: int) -> str:
    """What the bytes of members are bound to."""
    return f"segment/{tenant_id}/{segment_id}/{edition}"
