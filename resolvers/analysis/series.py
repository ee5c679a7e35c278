"""Numbers by bucket of time, as columns: exact, and made into decimals only where somebody asks for them."""

from dataclasses import dataclass
from decimal import Context, Decimal

_EXACT = Context(prec=160)
"""Wide enough for sums of amounts times rates, the smallest and the largest."""

Number = Decimal | int | float
_WHOLE = frozenset({int})


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A number for each bucket, None where there is none; whole numbers count in units of 10^-places.

    Columns of the same numbers are equal, however they are held.
    """

    values: tuple[Decimal | int | float | None, ...]
    places: int = 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Column):
            return NotImplemented
        if self.places == other.places:
            return self.values == other.values
        return self.decimals() == other.decimals()

    __hash__ = None  # type: ignore[assignment]  # as of every value that is compared by what it holds

    @property
    def whole(self) -> bool:
        """Whether all of it is whole numbers."""
        return set(map(type, self.values)) <= _WHOLE

    def total(self) -> Decimal | int:
        """What whole numbers add up to: a decimal where they are parts of one."""
        found: int = sum(self.values)  # type: ignore[arg-type]
        return Decimal(found).scaleb(-self.places, _EXACT) if self.places else found

    def decimals(self) -> tuple[Decimal | None, ...]:
        """The exact values."""
        return tuple([None if value is None else exact(value, self.places) for value in self.values])


def exact(number: Number, places: int = 0) -> Decimal | None:
    """A number as a Decimal: a float by its shortest notation, None where it is not finite."""
    if isinstance(number, float):
        told = Decimal(repr(number))
    else:
        told = Decimal(number).scaleb(-places, _EXACT) if places else Decimal(number)
    return told if told.is_finite() else None
