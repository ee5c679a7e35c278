"""Groups of subjects by the codes of what they carry."""

from collections.abc import Iterable, Mapping, Sequence

from resolvers.analysis.metrics import DimensionValue

Keys = tuple[DimensionValue, ...]
"""The values of a group; none for the group of all others."""
Codes = tuple[int, ...]


def named(codes: Codes, names: Sequence[str], texts: Mapping[int, str]) -> Keys:
    """What the codes of a group stand for, 0 for nothing; those of all others are none."""
    return tuple(DimensionValue(name, texts.get(code)) for name, code in zip(names, codes, strict=bool(codes)))


def having(
    groups: Iterable[Codes], like: Iterable[Keys], names: Sequence[str], texts: Mapping[int, str]
) -> list[Codes]:
    """Those of the groups that stand for one of ``like``."""
    wanted = set(like)
    return [codes for codes in groups if named(codes, names, texts) in wanted]
