"""Where chance puts a unit: the same in every process and every language, from text alone.

A unit's place is the first eight bytes, big-endian, of the SHA-256 of ``mg1 NUL purpose NUL salt NUL unit`` in UTF-8.
Places are spread evenly over [0, 2**64) and those of two purposes or salts know nothing of each other. Parts of that
span are compared in whole numbers, so that no rounding moves anybody. ``docs/bucketing.md`` publishes the vectors that
freeze all of it: a change here would give people other variants.
"""

from collections.abc import Sequence
from enum import Enum
from hashlib import sha256

SPAN = 1 << 64
"""Places are 0 to ``SPAN`` - 1."""


class Purpose(Enum):
    """What is drawn: each has places of its own, so that who is let in says nothing of who gets what."""

    TRAFFIC = "traffic"
    """Whether a unit takes part in an experiment at all."""
    VARIANT = "variant"
    """Which variant it gets."""
    GROUP = "group"
    """Which experiment of a mutually exclusive group it may take part in."""
    HOLDOUT = "holdout"
    """Whether it is held out."""
    ROLLOUT = "rollout"
    """Whether a rollout of a feature flag has reached it."""


def place(purpose: Purpose, salt: str, unit: str) -> int:
    """The place of a unit, 0 <= place < 2**64; neither text holds NUL."""
    digest = sha256(b"mg1\0%b\0%b\0%b" % (purpose.value.encode(), salt.encode(), unit.encode())).digest()
    return int.from_bytes(digest[:8], "big")


def within(place: int, parts: int, whole: int) -> bool:
    """Whether a place lies in the first ``parts`` of ``whole`` equal parts; who does stays so as ``parts`` grows."""
    return place * whole < parts * SPAN


def chosen(place: int, weights: Sequence[int]) -> int:
    """Which of several shares, laid end to end by weight, a place falls into; a weight of 0 gets nobody.

    Weights are whole numbers >= 0 with a sum above 0.
    """
    total = sum(weights)
    reached = 0
    for index, weight in enumerate(weights):
        reached += weight
        if within(place, reached, total):
            return index
    raise ValueError("the weights are all 0")
