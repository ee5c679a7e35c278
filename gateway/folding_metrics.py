"""What Prometheus learns of what is kept beside the log: how upkeep gets on, and how much there is."""

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from resolvers.store.folding import FoldingFigures
from resolvers.store.segment_cache import SegmentCache


class FoldingCollector(Collector):
    """Tells what upkeep has counted already, so that a scrape asks nothing of the database."""

    def __init__(self, figures: FoldingFigures, cache: SegmentCache) -> None:
        self._figures = figures
        self._cache = cache

    def collect(self) -> Iterator[Metric]:
        done, cache = self._figures, self._cache
        damaged = done.damaged + cache.damaged
        yield _counter("folding_runs", "Times that a tenant was folded into journey segments.", done.runs)
        yield _counter("folding_failures", "Times that this failed.", done.failures)
        yield _counter("folding_seconds", "Time that it took.", done.seconds)
        yield _counter("folded_events", "Events folded, those folded anew included.", done.events)
        yield _counter("damaged_segments", "Segments found damaged or gone.", damaged)
        yield _gauge("segment_cache_bytes", "What columns of segments take in memory.", cache.size)
        # A process that leaves upkeep to others does not look.
        if done.unfolded is not None and done.segment_bytes is not None:
            yield _gauge("unfolded_events", "Events that await folding, as of the last look.", done.unfolded)
            yield _gauge("segment_bytes", "What segments take in the database, as of that look.", done.segment_bytes)
        if done.kept is not None:
            yield _gauge("subject_segments", "Segments of subjects that tenants keep.", done.kept.segments)
            yield _gauge("personas", "Personas that tenants keep.", done.kept.personas)
            yield _gauge("journey_segments", "Journey segments in the database.", done.kept.journey_segments)


def _counter(name: str, documentation: str, value: float) -> Metric:
    return CounterMetricFamily(f"gateway_{name}", documentation, value=value)


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(f"gateway_{name}", documentation, value=value)
