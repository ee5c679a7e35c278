"""What Prometheus learns of journeys: how upkeep gets on, and what segments take."""

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
        figures, cache = self._figures, self._cache
        for name, documentation, count in (
            (
                "gateway_folding_runs",
                "Times that a tenant was folded into journey segments.",
                figures.runs,
            ),
            ("gateway_folding_failures", "Times that this failed.", figures.failures),
            ("gateway_folding_seconds", "Time that it took.", figures.seconds),
            ("gateway_folded_events", "Events folded, those folded anew included.", figures.events),
            ("gateway_damaged_segments", "Segments found damaged or gone.", figures.damaged + cache.damaged),
        ):
            yield CounterMetricFamily(name, documentation, value=count)
        for name, documentation, size in (
            (
                "gateway_unfolded_events",
                "Events that await folding, as of the last look.",
                figures.unfolded,
            ),
            (
                "gateway_segment_bytes",
                "What journey segments take in the database, as of that look.",
                figures.segment_bytes,
            ),
            ("gateway_segment_cache_bytes", "What their columns take in memory.", cache.size),
        ):
            # A process that leaves upkeep to others does not look.
            if size is not None:
                yield GaugeMetricFamily(name, documentation, value=size)
