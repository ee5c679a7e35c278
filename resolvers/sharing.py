"""What gateways share of answers, and with whom: those of the same database that compute alike."""

from hashlib import blake2b
from pathlib import Path

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from resolvers.analysis.ai_assistance import AiAssistanceAnswer
from resolvers.analysis.ai_budgets import AiBudgetAnswer, AiBudgetAnswers
from resolvers.analysis.ai_costs import Unpriced
from resolvers.analysis.ai_providers import AiProvidersAnswer
from resolvers.analysis.attribution import AttributionAnswer
from resolvers.analysis.cohorts import CohortsAnswer
from resolvers.analysis.experiment_answers import ExperimentAnswer
from resolvers.analysis.funnel_correlations import FunnelCorrelationAnswer, FunnelCorrelationAnswers
from resolvers.analysis.funnels import FunnelAnswer, FunnelAnswers
from resolvers.analysis.lifetime_value import LifetimeValues
from resolvers.analysis.metrics import Metric, MetricAnswer
from resolvers.analysis.mrr_answers import RecurringRevenue
from resolvers.analysis.plain_values import PlainValues
from resolvers.analysis.propensity_answers import Propensities
from resolvers.analysis.recommendations import Findings
from resolvers.analysis.revenue import RevenueAnswer
from resolvers.analysis.roi import RoiAnswer
from resolvers.analysis.segment_comparisons import SegmentOverlapAnswer, SegmentTraitsAnswer
from resolvers.analysis.segments import SegmentPreviewAnswer
from resolvers.analysis.slo_answers import SloAnswer, SloAnswers
from resolvers.analysis.survival_answers import SurvivalAnswer
from resolvers.catalogue import metric
from resolvers.funnel_subjects import SubjectPage, SubjectPages
from resolvers.keys import digest
from resolvers.live.cache import Sharing
from resolvers.live.shared import SharedMemory
from resolvers.store.database import Database

log = structlog.get_logger(__name__)

Answers = (
    list[MetricAnswer]
    | RevenueAnswer
    | RecurringRevenue
    | CohortsAnswer
    | FunnelAnswer
    | FunnelAnswers
    | FunnelCorrelationAnswer
    | FunnelCorrelationAnswers
    | SubjectPage
    | SubjectPages
    | AttributionAnswer
    | RoiAnswer
    | AiProvidersAnswer
    | AiAssistanceAnswer
    | Unpriced
    | AiBudgetAnswer
    | AiBudgetAnswers
    | Propensities
    | LifetimeValues
    | SurvivalAnswer
    | ExperimentAnswer
    | Findings
    | SegmentPreviewAnswer
    | SegmentOverlapAnswer
    | SegmentTraitsAnswer
    | SloAnswer
    | SloAnswers
)
# A metric is known by its slug wherever the catalogue is the same.
ANSWERS = PlainValues(Answers, {Metric: (lambda one: one.slug, metric)})
"""Every value that an analysis is answered with."""


def sharing(shared: SharedMemory) -> Sharing:
    """Answers through ``shared``."""
    return Sharing(shared, ANSWERS.write, ANSWERS.read)


async def shared_memory(url: str, owner: Database, pepper: bytes) -> SharedMemory | None:
    """The memory that this gateway shares with those of the same database and code, at a Redis' address.

    None where the database does not say which one it is: to share with a copy of it would be wrong.
    """
    try:
        history = await _history(owner)
    except DBAPIError as error:
        log.warning("redis.unused", error=type(error.orig).__name__)
        return None
    namespace = blake2b(f"{history} {_code()}".encode(), digest_size=12).hexdigest()
    return SharedMemory(url, namespace, digest("answers shared through Redis", pepper))


async def _history(owner: Database) -> str:
    """What tells a database from every other one, its own copies and restored states among them.

    In two of them the same data version may stand for different events.
    """
    query = (
        "SELECT concat_ws(' ', system_identifier, timeline_id, current_database(), installation.xmin)"
        " FROM pg_control_system(), pg_control_checkpoint(), installation"
    )
    async with owner.shared() as session:
        connection = await session.connection()
        return str((await connection.execute(text(query))).scalar_one())


def _code() -> str:
    """A fingerprint of all that decides what an answer is."""
    here = Path(__file__).parent
    total = blake2b(digest_size=16)
    for path in sorted(here.rglob("*.py")):
        total.update(f"{path.relative_to(here)}\0".encode() + path.read_bytes() + b"\0")
    return total.hexdigest()
