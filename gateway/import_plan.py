"""How a file of any shape becomes events: which column is what, which rows count, how times are written."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from resolvers.errors import BadInput


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """What to make of each row.

    ``maps`` leads from a target to its source. A target is a field of an event (``occurred_at`` or
    ``occurredAt``), a dimension (``channel``) or a property (``properties.sku``; of CSV a property is text unless
    its name ends in ``:number`` or ``:boolean``). A source is a column, of NDJSON also a path such as ``user.id``,
    or a product of columns such as ``Quantity*UnitPrice``, computed exactly. NDJSON without ``maps`` holds events
    as they are sent to the gateway.
    """

    maps: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    """Values by target, for rows whose source is empty or which have none."""
    conditions: tuple[str, ...] = ()
    """Rows that fail one of these are skipped; see ``import_conditions``."""
    value_maps: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By target: what a value becomes; ``*`` stands for all that are not named, which else stay as they are."""
    time_formats: tuple[str, ...] = ()
    """Formats of strptime, ``epoch`` or ``epoch_ms``, tried in turn; none of them means ISO 8601."""
    timezone: str = "UTC"
    """The IANA zone of times that carry none. Of a time that happens twice the first is meant; one that a change of
    the clocks skips is moved on by as much as they skip."""
    delimiter: str = ","
    encoding: str = "utf-8-sig"
    format: str | None = None
    """``csv`` or ``ndjson``; None goes by the file's name."""

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise BadInput(f"There is no time zone {self.timezone!r}.", field="timezone") from None
        try:
            "".encode(self.encoding)
        except LookupError:
            raise BadInput(f"There is no encoding {self.encoding!r}.", field="encoding") from None
        if len(self.delimiter) != 1 or self.delimiter in '"\r\n':
            raise BadInput("The delimiter must be one character.", field="delimiter")
        if self.format not in (None, "csv", "ndjson"):
            raise BadInput("The format must be csv or ndjson.", field="format")

    @classmethod
    def parse(
        cls,
        *,
        maps: Iterable[str] = (),
        constants: Iterable[str] = (),
        conditions: Iterable[str] = (),
        value_maps: Iterable[str] = (),
        time_formats: Iterable[str] = (),
        timezone: str = "UTC",
        delimiter: str = ",",
        encoding: str = "utf-8-sig",
        format: str | None = None,
    ) -> Self:
        """A plan from the text of options: ``target=source``, ``target=value``, ``target:old=new``.

        Raises BadInput that names the option.
        """
        renamed: dict[str, dict[str, str]] = {}
        for option in value_maps:
            target, separator, pair = option.partition(":")
            old, equals, new = pair.partition("=")
            if not separator or not equals or not target:
                raise BadInput(f"{option!r} must read target:old=new.", field="value-map")
            renamed.setdefault(target.strip(), {})[old.strip()] = new.strip()
        return cls(
            maps=_pairs(maps, "map"),
            constants=_pairs(constants, "set"),
            conditions=tuple(conditions),
            value_maps=renamed,
            time_formats=tuple(time_formats),
            timezone=timezone,
            delimiter="\t" if delimiter == "\\t" else delimiter,
            encoding=encoding,
            format=format,
        )


def _pairs(options: Iterable[str], name: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for option in options:
        target, equals, value = (part.strip() for part in option.partition("="))
        if not equals or not target or not value:
            raise BadInput(f"{option!r} must read target=value.", field=name)
        if target in pairs:
            raise BadInput(f"{target!r} is given twice.", field=name)
        pairs[target] = value
    return pairs
