"""What is walked again of some customers, put in place of what there was, is what walking all of them comes to."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from resolvers.analysis.explanations import Explanation, Source
from resolvers.analysis.mrr import Keys, Movements, ranked, tally
from resolvers.analysis.subscriptions import Changes, Exchange, Step, SubscriptionEvents, amounts
from resolvers.analysis.walked_subscriptions import Walked, walked

USD, EUR, ZWG = 1, 2, 3
EXCHANGE = Exchange(USD, {(EUR, 0): Decimal("1.085")})
NOWHERE = Explanation(Source.LOG, 0, 0.0)
EDGES = [0, 2, 4, 9]
Said = tuple[int, int, int, Step, int, int, bool, str | None]
"""Customer, subscription, instant, step, amount, currency, whether it is asked about, plan."""

EVENTS: st.SearchStrategy[list[list[Said]]] = st.lists(
    st.lists(
        st.tuples(
            st.integers(1, 5),
            st.integers(0, 2),
            st.integers(0, 6),
            st.sampled_from(Step),
            st.sampled_from([0, 1, 2, 5, (1 << 62) - 1, 10**24]),
            st.sampled_from([USD, USD, EUR, ZWG]),
            st.sampled_from([True, True, False]),
            st.sampled_from(["basic", "pro", None, "team"]),
        ),
        max_size=8,
    ),
    max_size=5,
)


def of(said: Sequence[Said], version: int) -> Walked:
    """All of it, in the order of its arrival, groups numbered as they first come."""
    groups: dict[Keys, int] = {}
    numbers = [groups.setdefault((one[-1],), len(groups)) for one in said]

    def column(place: int) -> Any:
        return np.array([one[place] for one in said], np.int64)

    events = SubscriptionEvents(
        customer=column(0),
        subscription=column(1),
        at=column(2),
        position=np.arange(len(said)),
        step=column(3),
        monthly=amounts([one[4] for one in said]),
        currency=column(5),
        inside=column(6).astype(bool),
        group=np.array(numbers, np.int64),
    )
    return walked(events, EXCHANGE, list(groups), version=version, explain=NOWHERE)


def told(found: Walked) -> Any:
    """All that answers are made of, in an order that does not depend on how it was come by."""

    def rows(columns: Changes | Movements) -> list[Any]:
        parts = [columns.customer, columns.at]
        parts += [columns.currency, columns.delta] if isinstance(columns, Changes) else [columns.kind, columns.size]
        keys = [found.groups[group] for group in columns.group]
        return sorted(zip(*(part.tolist() for part in parts), keys, strict=True), key=repr)

    names = {keys: tally(found.by_group, EDGES, group) for group, keys in enumerate(found.groups)}
    order = [found.groups[group] for group in ranked(found.by_group, 2, 9, found.groups)]
    return (
        [rows(found.changes), rows(found.foreign), rows(found.by_group)],
        tally(found.together, EDGES, 0),
        {keys: tallied for keys, tallied in names.items() if any(tallied.customers) or any(tallied.customers_at_start)},
        order,
    )


@given(EVENTS)
def test_what_was_walked_before_and_the_customers_of_whom_something_came_are_all(rounds: list[list[Said]]) -> None:
    said: list[Said] = []
    known = of(said, 0)
    for news in rounds:
        said += news
        customers = sorted({one[0] for one in news})
        part = of([one for one in said if one[0] in customers], len(said))
        known = known.renewed(np.array(customers, np.int32), part)
        assert known.version == len(said)
        assert told(known) == told(of(said, len(said)))


def test_what_takes_room_is_counted_numbers_of_any_size_too() -> None:
    small = of([(1, 0, 1, Step.STARTED, 5, USD, True, "pro")], 1)
    large = of([(1, 0, 1, Step.STARTED, 10**24, USD, True, "pro")], 1)
    assert large.nbytes == small.nbytes + 2 * 4 * 8
    assert of([(1, 0, 1, Step.STARTED, 5, USD, True, plan) for plan in ("a", "b")], 2).nbytes > small.nbytes + 200
