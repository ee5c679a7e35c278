"""Sums over the units of an experiment, brought into the arms that are compared."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from resolvers.analysis.experiment_statistics import Arm, PairedArm, Share
from resolvers.analysis.experiment_units import Uncounted

ALL, BY_DAY, BY_DIMENSION, BY_SEGMENT = 0, 1, 2, -1
"""How sums are cut: not at all, by day of first exposure, by the first dimension broken down by, the second, …; by the
segments that are asked about, in their order, which none are kept for."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Sums over the units of a phase, variant and cut; those that saw several variants apart.

    ``n`` is 0 but in slot 0, which has nothing else. The sums are of value, divisor, covariate, their squares, and the
    products value × divisor and value × covariate.
    """

    phase: int
    cut: int
    value: int
    variant: int
    multiple: bool
    slot: int
    n: int
    x: Decimal
    y: Decimal
    c: Decimal
    xx: Decimal
    yy: Decimal
    cc: Decimal
    xy: Decimal
    xc: Decimal


@dataclass(slots=True)
class UnitSums:
    """Units, and the sums of one metric over them: as in Cell."""

    units: int = 0
    x: Decimal = Decimal(0)
    y: Decimal = Decimal(0)
    c: Decimal = Decimal(0)
    xx: Decimal = Decimal(0)
    yy: Decimal = Decimal(0)
    cc: Decimal = Decimal(0)
    xy: Decimal = Decimal(0)
    xc: Decimal = Decimal(0)

    def take(self, other: "Cell | UnitSums") -> None:
        """Add sums."""
        for name in ("x", "y", "c", "xx", "yy", "cc", "xy", "xc"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def share(self) -> Share:
        """Of a value that is 0 or 1."""
        return Share(self.units, int(self.x))

    @property
    def mean(self) -> Arm:
        return Arm(self.units, self.x, self.xx)

    @property
    def ratio(self) -> PairedArm:
        """Value above, divisor below."""
        return PairedArm(self.units, self.y, self.yy, self.x, self.xx, self.xy)

    @property
    def paired(self) -> PairedArm:
        """The value, with the covariate."""
        return PairedArm(self.units, self.c, self.cc, self.x, self.xx, self.xc)


Arms = list[UnitSums]
"""The sums of each variant, in their order."""


class Cells:
    """The cells of one phase, or of all of them; units that saw several variants count unless ``once``."""

    def __init__(self, cells: Iterable[Cell], variants: int, metrics: int, *, phase: int | None, once: bool) -> None:
        self.uncounted = dict.fromkeys(Uncounted, 0)
        """Units none of whose exposures counts, by why."""
        self.multiple = 0
        """Units that saw several variants, whether they count or not."""
        self.shown = 0
        """Units of the phase, whether they count or not."""
        self._variants = variants
        self._slots = metrics + 1
        self._held: dict[tuple[int, int], list[Arms]] = defaultdict(self._empty)
        for cell in cells:
            if cell.phase <= 0:
                self.uncounted[Uncounted(cell.phase)] += cell.n if cell.cut == ALL else 0
            elif phase in (None, cell.phase):
                self._take(cell, once)

    def _empty(self) -> list[Arms]:
        return [[UnitSums() for _ in range(self._variants)] for _ in range(self._slots)]

    def _take(self, cell: Cell, once: bool) -> None:
        if cell.cut == ALL:
            self.shown += cell.n
            self.multiple += cell.n if cell.multiple else 0
        if cell.multiple and once:
            return
        slots = self._held[cell.cut, cell.value]
        if cell.slot == 0:
            for arms in slots:
                arms[cell.variant].units += cell.n
        else:
            slots[cell.slot][cell.variant].take(cell)

    def arms(self, metric: int, cut: int = ALL, value: int = 0) -> Arms:
        """The arms of a metric, by its place; every variant has one."""
        return self._held[cut, value][metric + 1]

    def units(self, cut: int = ALL, value: int = 0) -> list[int]:
        """How many units each variant has."""
        return [arm.units for arm in self._held[cut, value][0]]

    def values(self, cut: int) -> list[int]:
        """The values that occur in a cut, those of most units first."""
        found = [value for at, value in self._held if at == cut]
        return sorted(found, key=lambda value: (-sum(self.units(cut, value)), value))


def together(parts: Sequence[Arms]) -> Arms:
    """The arms of several parts as one."""
    whole = [UnitSums() for _ in parts[0]] if parts else []
    for arms in parts:
        for into, arm in zip(whole, arms, strict=True):
            into.units += arm.units
            into.take(arm)
    return whole
