"""Attribution done plainly, a journey at a time in exact fractions, to hold the arrays against."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.attribution import Model
from resolvers.analysis.attribution_markov import removal_effects
from resolvers.analysis.attribution_paths import CONVERTED, LOST, START, Transitions
from resolvers.analysis.attribution_sales import UNIT, Sales
from resolvers.analysis.journeys import Journeys

HALF_LIFE = 7


@dataclass(frozen=True)
class Event:
    """An event; ``code`` is its value, ``amount`` None where it is no sale."""

    subject: int
    at: int
    touch: bool
    conversion: bool
    code: int = 0
    amount: Decimal | None = None


@dataclass(frozen=True)
class Journey:
    """Touches as (code, time before the end), and the amount of the conversion; None where it was lost."""

    touches: tuple[tuple[int, int], ...]
    amount: Decimal | None


def arrays(events: Sequence[Event]) -> tuple[Journeys, Sales]:
    """The events, given in the order of arrival, as columns."""
    journeys = Journeys(
        subject=np.array([event.subject for event in events], np.int32),
        at=np.array([event.at for event in events], np.int64),
        steps=np.array(
            [event.touch + 2 * event.conversion + 4 * (event.amount is not None) for event in events], np.uint8
        ),
        dimensions=np.array([[event.code for event in events]], np.int32),
        ordered=False,
    )
    sales = sorted((event for event in events if event.amount is not None), key=lambda event: (event.subject, event.at))
    parts = [divmod(int((event.amount or Decimal(0)) * UNIT), UNIT) for event in sales]
    return journeys, Sales(
        subject=np.array([event.subject for event in sales], np.int32),
        at=np.array([event.at for event in sales], np.int64),
        whole=np.array([whole for whole, _ in parts], np.int64),
        fraction=np.array([fraction for _, fraction in parts], np.int64),
    )


def journeys(events: Sequence[Event], start: int, lookback: int) -> list[Journey]:
    """The journeys of a period that begins at ``start``."""
    found = []
    subjects: dict[int, list[Event]] = defaultdict(list)
    for event in sorted(events, key=lambda event: event.at):
        subjects[event.subject].append(event)
    for _, own in sorted(subjects.items()):
        touches: list[Event] = []
        for event in own:
            touches += [event] if event.touch else []
            if event.conversion:
                if event.at >= start:
                    found.append(_journey(touches, event.at, lookback, event.amount or Decimal(0)))
                touches = []
        if touches and touches[-1].at >= start:
            found.append(_journey(touches, touches[-1].at, lookback, None))
    return found


def _journey(touches: list[Event], end: int, lookback: int, amount: Decimal | None) -> Journey:
    return Journey(
        tuple((touch.code, end - touch.at) for touch in touches if end - touch.at <= lookback),
        amount,
    )


def shares(model: Model, touches: Sequence[tuple[int, int]]) -> list[Fraction]:
    """What each touch of a journey gets."""
    n = len(touches)
    codes = [code for code, _ in touches]
    first_met = [codes.index(code) == place for place, code in enumerate(codes)]
    match model:
        case Model.FIRST_TOUCH:
            return [Fraction(place == 0) for place in range(n)]
        case Model.LAST_TOUCH:
            return [Fraction(place == n - 1) for place in range(n)]
        case Model.LINEAR:
            return [Fraction(1, n)] * n
        case Model.POSITION:
            return _ends(n, Fraction(2, 5), Fraction(2, 5))
        case Model.J_SHAPED:
            return _ends(n, Fraction(1, 5), Fraction(3, 5))
        case Model.INVERSE_J:
            return _ends(n, Fraction(3, 5), Fraction(1, 5))
        case Model.TIME_DECAY:
            weights = [Fraction(2.0 ** (-before / HALF_LIFE)) for _, before in touches]
            return [weight / sum(weights) for weight in weights]
        case Model.SHAPLEY:
            return [Fraction(met, sum(first_met)) for met in first_met]
        case _:
            return [Fraction(met) for met in first_met]


def _ends(n: int, first: Fraction, last: Fraction) -> list[Fraction]:
    if n == 1:
        return [Fraction(1)]
    if n == 2:
        return [first / (first + last), last / (first + last)]
    return [first, *[(1 - first - last) / (n - 2)] * (n - 2), last]


def credits(found: Sequence[Journey], model: Model) -> tuple[dict[int, Fraction], dict[int, Fraction]]:
    """Conversions and money of each code."""
    conversions: dict[int, Fraction] = defaultdict(Fraction)
    money: dict[int, Fraction] = defaultdict(Fraction)
    for journey in found:
        if journey.amount is not None and journey.touches:
            for (code, _), share in zip(journey.touches, shares(model, journey.touches), strict=True):
                conversions[code] += share
                money[code] += share * Fraction(journey.amount)
    return conversions, money


def transitions(found: Sequence[Journey]) -> dict[tuple[int, int], int]:
    counts: dict[tuple[int, int], int] = defaultdict(int)
    for journey in found:
        if journey.touches:
            codes = [code for code, _ in journey.touches]
            way = [START, *codes, LOST if journey.amount is None else CONVERTED]
            for step in pairwise(way):
                counts[step] += 1
    return dict(counts)


def steps_of(counts: dict[tuple[int, int], int]) -> Transitions:
    """The same as columns."""
    source, target = zip(*counts, strict=True)
    return Transitions(np.array(source, np.int32), np.array(target, np.int32), np.array(list(counts.values())))


def removal_effect(counts: dict[tuple[int, int], int], removed: int) -> float:
    """By the definition: the chain is solved again with all steps to ``removed`` lost; self-loops stay in."""

    def converting(without: int | None) -> float:
        states = sorted({source for source, _ in counts})
        place = {state: at for at, state in enumerate(states)}
        steps, ends = np.zeros((len(states), len(states))), np.zeros(len(states))
        for (source, target), count in counts.items():
            share = count / sum(other for (of, _), other in counts.items() if of == source)
            if target == CONVERTED:
                ends[place[source]] += share
            elif target != LOST and target != without:
                steps[place[source], place[target]] += share
        return float(np.linalg.solve(np.eye(len(states)) - steps, ends)[place[START]])

    whole = converting(None)
    return 1 - converting(removed) / whole if whole else 0.0


def transitions_of(counts: NDArray[np.floating | np.integer]) -> Transitions:
    """A table of steps, from each value and last the start, to each value, the lost end and the converted one."""
    values = list(range(len(counts) - 1))
    source, target = np.nonzero(counts)
    sources, targets = np.array([*values, START], np.int32), np.array([*values, LOST, CONVERTED], np.int32)
    return Transitions(sources[source], targets[target], counts[source, target].astype(np.int64))


def of_whole_paths(taken: NDArray[np.integer], times: NDArray[np.floating], resamples: int) -> NDArray[np.floating]:
    """The ends of Markov intervals, as shares of the credit, where whole paths are drawn with replacement.

    That is the nonparametric bootstrap: as many paths as there are, lost ones too. ``taken`` are tables of the steps of
    each, which there is so many ``times``.
    """
    random = np.random.default_rng(1957)
    codes = np.arange(taken.shape[1] - 1, dtype=np.int32)
    steps = taken.reshape(len(taken), -1).astype(np.float64)
    effects = []
    for _ in range(resamples):
        drawn = random.multinomial(int(times.sum()), times / times.sum()) @ steps
        effects.append(removal_effects(transitions_of(drawn.reshape(taken.shape[1:])), codes))
    found = np.array(effects)
    ends: NDArray[np.floating] = np.percentile(found / found.sum(axis=1, keepdims=True), [2.5, 97.5], axis=0)
    return ends
