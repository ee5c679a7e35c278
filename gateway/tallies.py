"""Tallies: what is counted and timed with every request, told to Prometheus when it asks.

The client library's own counters take a lock for each number and find it by its labels each time, which is a good part
of what the telemetry of a request costs.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

Labels = tuple[str, ...]


class Counts(Collector):
    """How often something happened, by labels; counted in one thread."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str], registry: CollectorRegistry) -> None:
        self._told = name, documentation, labels
        self._counts: defaultdict[Labels, int] = defaultdict(int)
        registry.register(self)

    def add(self, *labels: str) -> None:
        """Count one."""
        self._counts[labels] += 1

    def collect(self) -> Iterator[Metric]:
        """What Prometheus is told."""
        name, documentation, labels = self._told
        told = CounterMetricFamily(name, documentation, labels=labels)
        for values, count in self._counts.items():
            told.add_metric(values, count)
        yield told


class Times(Collector):
    """How long something took, by labels: in buckets up to each of ``bounds`` in seconds; counted in one thread."""

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str],
        bounds: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self._told = name, documentation, labels
        self._bounds = tuple(bounds)
        self._buckets: dict[Labels, list[int]] = {}
        self._sums: defaultdict[Labels, float] = defaultdict(float)
        registry.register(self)

    def add(self, seconds: float, *labels: str) -> None:
        """Count something that took so long."""
        buckets = self._buckets.get(labels)
        if buckets is None:
            buckets = self._buckets[labels] = [0] * (len(self._bounds) + 1)
        buckets[bisect_left(self._bounds, seconds)] += 1
        self._sums[labels] += seconds

    def collect(self) -> Iterator[Metric]:
        """What Prometheus is told."""
        name, documentation, labels = self._told
        told = HistogramMetricFamily(name, documentation, labels=labels)
        ends = [*map(str, self._bounds), "+Inf"]
        for values, buckets in self._buckets.items():
            told.add_metric(values, list(zip(ends, accumulate(buckets), strict=True)), self._sums[values])
        yield told
