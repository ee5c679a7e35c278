"""What a resolver is given: who asks, and the means to answer."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any, TypeVar, cast

from resolvers.analysis.experiments import Known
from resolvers.errors import BadInput, Forbidden, GatewayError, Unauthenticated
from resolvers.export_links import ExportLinks
from resolvers.live.bus import Bus
from resolvers.live.cache import Cache
from resolvers.live.definitions import Definitions
from resolvers.live.rounds import Rounds
from resolvers.live.turns import Turns
from resolvers.store.database import Database
from resolvers.store.flag_cache import FlagCache
from resolvers.store.flag_tallies import FlagTallies
from resolvers.store.folding import FoldingFigures
from resolvers.store.metrics import Kept
from resolvers.store.paying_cohorts import PaidCohortsKept
from resolvers.store.presence_cache import PresenceCache
from resolvers.store.rollup_days import RollupDays
from resolvers.store.segment_cache import SegmentCache
from resolvers.store.terms import TermMemory
from resolvers.store.turns import LARGE_LOG, Heavy
from resolvers.store.versions import VersionReader
from resolvers.store.walked_subscriptions import WalkedSubscriptions
from resolvers.store.writer import Writer

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")


class Role(IntEnum):
    """What a key may do; a viewer reads, an analyst also writes events and keeps definitions, an admin does all.

    ``INGEST`` stands apart: it writes events and reads nothing.
    """

    INGEST = 1
    VIEWER = 2
    ANALYST = 3
    ADMIN = 4

    def reaches(self, needed: "Role") -> bool:
        """Whether a key of this role may do what ``needed`` may."""
        if needed is Role.INGEST:
            return self is not Role.VIEWER
        return self >= needed


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller: one key of one tenant."""

    tenant_id: int
    tenant: str
    """The tenant's slug."""
    currency: str
    timezone: str
    key_id: int
    role: Role


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Services:
    """What a process has one of."""

    database: Database
    memory: TermMemory
    writer: Writer
    bus: Bus
    cache: Cache
    versions: VersionReader
    heavy: Heavy
    """Held by whoever reads journeys: it bounds the memory that arrays take."""
    turns: Turns = field(default_factory=Turns)
    """Where answers are computed."""
    rounds: Rounds = field(default_factory=Rounds)
    """Of the event loop, in which large work goes on piece by piece."""
    presence: PresenceCache = field(default_factory=PresenceCache)
    days: RollupDays = field(default_factory=RollupDays)
    subscriptions: WalkedSubscriptions = field(default_factory=WalkedSubscriptions)
    paid: PaidCohortsKept = field(default_factory=PaidCohortsKept)
    segments: SegmentCache = field(default_factory=SegmentCache)
    folding: FoldingFigures = field(default_factory=FoldingFigures)
    experiments: Definitions[Known] = field(default_factory=Definitions)
    """What tenants have of experiments."""
    flags: FlagCache = field(default_factory=FlagCache)
    tallies: FlagTallies = field(default_factory=FlagTallies)
    links: ExportLinks = field(default_factory=ExportLinks)
    now: Callable[[], datetime] = utc_now
    counted: Callable[[str, str, int], None] = lambda kind, outcome, count: None
    """Told how many events of a kind had which outcome, for telemetry."""

    def __post_init__(self) -> None:
        # What can be had again the most quickly makes room for the others.
        self.segments.beside = self.beside_segments
        self.heavy.spare = self.segments.spare

    def beside_segments(self) -> int:
        """Bytes that caches hold, that of journeys apart."""
        held = self.presence, self.days, self.subscriptions, self.paid, self.memory, self.memory.members
        return sum(one.size for one in held)

    @property
    def kept(self) -> Kept:
        """What metrics are read with."""
        return Kept(self.presence, self.days, self.segments, self.heavy)


LARGEST_ANSWER = 12_000
"""Points of series, and conditions and values of filters, that one operation may ask for: what they cost in computing
time, others wait for."""


class Reliance:
    """What the answers of one operation stand on: the data versions they were read at, and how long time lets them be.

    ``begun`` is an instant before the first of them was asked for.
    """

    def __init__(self, begun: datetime) -> None:
        self.begun = begun
        self.versions: dict[int, int] = {}
        """By kind of event."""
        # An earlier period that is compared with is cut at the minute.
        self.until = begun.replace(second=0, microsecond=0) + timedelta(minutes=1)
        self._torn = False
        self._exact = False
        self.accepted: datetime | None = None
        """Until when the caller accepts the answers although the log moves on; None where one of them must be exact."""

    @property
    def sound(self) -> bool:
        """Whether the answers are all of one state of the log."""
        return bool(self.versions) and not self._torn

    def accept(self, until: datetime) -> None:
        """Note an answer of an earlier state of the log, which the caller accepts ``until`` then."""
        self._torn = True
        self._accept(until)

    def _accept(self, until: datetime | None) -> None:
        self._exact |= until is None
        bounds = [bound for bound in (self.accepted, until) if bound is not None]
        self.accepted = None if self._exact else min(bounds, default=None)

    def add(
        self,
        kinds: Iterable[int],
        versions: Iterable[int],
        period_end: datetime | None,
        accepted: datetime | None = None,
    ) -> None:
        """Note an answer read at the ``versions`` of its ``kinds``; None where what time does to it is not known.

        ``accepted`` is until when the caller accepts it whatever the versions become; None: not at all.
        """
        self._accept(accepted)
        if period_end is None:
            self._torn = True
            return
        for kind, version in zip(kinds, versions, strict=True):
            self._torn |= self.versions.setdefault(kind, version) != version
        # A period that is still running ends with its unit, and the next one begins then.
        if period_end > self.begun:
            self.until = min(self.until, period_end)


class Context:
    """One operation's view: the caller, the services and loaders that live as long as the operation."""

    def __init__(self, services: Services, principal: Principal | None) -> None:
        self.services = services
        self.principal = principal
        self._left = LARGEST_ANSWER
        self.reliance: Reliance | None = None
        """Told of every analysis that is answered, where somebody wants to know."""
        self._together: dict[Hashable, asyncio.Future[Any]] = {}
        self._batches: dict[Hashable, tuple[list[Any], asyncio.Task[Any]]] = {}
        self.found: dict[Hashable, Any] | None = None
        """What was found already, where all answers are of one moment; None where each is of its own."""

    def spend(self, points: int) -> None:
        """Count what an answer takes; raises BadInput where the operation asks for too much in all."""
        self._left -= points
        if self._left < 0:
            raise BadInput(
                f"The operation asks for more than {LARGEST_ANSWER:,} points of series and conditions in all; ask for "
                "wider buckets, fewer groups (top), fewer metrics or fewer conditions.",
                field="granularity",
            )

    def renew(self) -> None:
        """Begin another answer of a subscription or page of an export, which counts by itself."""
        self._left = LARGEST_ANSWER

    async def once(self, key: Hashable, compute: Callable[[], Awaitable[T]]) -> T:
        """What ``compute`` comes to, which is kept under ``key`` for other answers of the same moment."""
        if self.found is None:
            return await compute()
        if key not in self.found:
            self.found[key] = await compute()
        return cast(T, self.found[key])

    async def together(self, key: Hashable, compute: Callable[[], Awaitable[T]]) -> T:
        """What ``compute`` comes to, which is computed once for all fields of the operation that ask for ``key``."""
        if key not in self._together:
            self._together[key] = asyncio.ensure_future(compute())
        return cast(T, await self._together[key])

    async def batched(
        self, key: Hashable, item: K, answer: Callable[[Sequence[K]], Awaitable[Sequence[V | GatewayError]]]
    ) -> V:
        """What ``answer`` makes of ``item``, asked once for all that fields of the operation ask under ``key`` now.

        Where an item is answered with an error, this is raised.
        """
        batch = self._batches.get(key)
        if batch is None:
            items: list[Any] = []
            batch = self._batches[key] = (items, asyncio.ensure_future(self._answered(key, items, answer)))
        items, answers = batch
        items.append(item)
        place = len(items) - 1
        found = (await asyncio.shield(answers))[place]
        if isinstance(found, GatewayError):
            raise found
        return cast(V, found)

    async def _answered(
        self, key: Hashable, items: list[K], answer: Callable[[Sequence[K]], Awaitable[Sequence[V | GatewayError]]]
    ) -> Sequence[V | GatewayError]:
        # Fields of one list are begun in the same round of the loop, one after the other.
        await asyncio.sleep(0)
        del self._batches[key]
        return await answer(items)

    async def of_large_log(self) -> bool:
        """Whether the caller's log is so long that what is computed of much of it goes one by one."""
        seen = await self.services.versions.seen(self.require(None).tenant_id)
        return seen.state.version >= LARGE_LOG

    def require(self, role: Role | None) -> Principal:
        """The caller, where its role reaches ``role``, if one is needed; raises Unauthenticated or Forbidden."""
        if self.principal is None:
            raise Unauthenticated("An API key is needed: send it as `Authorization: Bearer <key>`.")
        if role is not None and not self.principal.role.reaches(role):
            raise Forbidden(f"This needs the role {role.name}; the key has {self.principal.role.name}.")
        return self.principal
