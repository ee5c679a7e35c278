"""What was paid until some days ago, kept between questions until something is said of those days again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from resolvers.analysis.exchange_rates import day_number
from resolvers.analysis.paying_cohorts import Paid
from resolvers.store.lasting import Lasting

Editions = Sequence[tuple[int, int]]
"""The days (counted from 1970, UTC) that have events, and the edition of each."""


@dataclass(frozen=True, slots=True)
class PaidBefore:
    """What was paid before the beginning of a day, and the days that tell so."""

    until: datetime
    editions: Editions
    paid: Paid

    @property
    def nbytes(self) -> int:
        """What it takes."""
        return self.paid.nbytes + 200 * len(self.editions)

    def holds(self, until: datetime, editions: Editions) -> bool:
        """Whether it is true, and of no more, where the days before ``until`` have these editions."""
        day = day_number(self.until.date())
        return self.until <= until and self.editions == [one for one in editions if one[0] < day]


class PaidCohortsKept(Lasting[PaidBefore]):
    """Of the cohorts that were asked about last."""
