"""Filters as SQL: conditions over the columns of the log, texts already turned into codes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import orjson
from sqlalchemy import (
    ColumnElement,
    Integer,
    LargeBinary,
    Numeric,
    Text,
    all_,
    and_,
    any_,
    bindparam,
    case,
    false,
    func,
    not_,
    or_,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from resolvers.analysis.filters import (
    All,
    Any,
    DimensionIs,
    Filter,
    FlagIs,
    InSegment,
    KindIs,
    MeasureIs,
    NameIs,
    Not,
    Op,
    PropertyIs,
    SubjectIs,
    in_segments,
    leaves,
)
from resolvers.analysis.funnels import Constant, Trait
from resolvers.analysis.members import Members
from resolvers.store.events import EVENT
from resolvers.store.members import MemberRepository
from resolvers.store.terms import SUBJECTS, TERMS, TermRepository

_FEW = 10_000
"""Members up to which they are looked for by the index of subjects; more are looked up in a bitmap, row by row."""
_ORDER = {Op.GT: "__gt__", Op.GTE: "__ge__", Op.LT: "__lt__", Op.LTE: "__le__"}


@dataclass(frozen=True, slots=True)
class Codes:
    """The codes of the texts that some filters name; a text without a code is carried by no event."""

    terms: Mapping[str, int]
    subjects: Mapping[str, int]
    members: Mapping[int | str, Members] = field(default_factory=dict)
    """Those of the segments that are named."""

    @classmethod
    async def of(cls, terms: TermRepository, tenant_id: int, *filters: Filter) -> "Codes":
        """Look up every text the filters name, in at most two queries, and the members of segments.

        Raises BadInput for a segment that there is not, Unavailable for one whose members are still being found.
        """
        found = [leaf for root in filters for leaf in leaves(root)]
        texts = {value for leaf in found if isinstance(leaf, DimensionIs) for value in leaf.values}
        texts |= {value for leaf in found if isinstance(leaf, NameIs) for value in leaf.names}
        people = {value for leaf in found if isinstance(leaf, SubjectIs) for value in leaf.subjects}
        return cls(
            await terms.codes(tenant_id, TERMS, texts) if texts else {},
            await terms.codes(tenant_id, SUBJECTS, people) if people else {},
            await MemberRepository(terms.session, terms.memory.members).of(tenant_id, in_segments(*filters)),
        )


def condition(root: Filter, codes: Codes) -> ColumnElement[bool]:
    """The filter as an SQL condition; unknown (NULL) counts as false."""
    match root:
        case All(of):
            return and_(true(), *(condition(part, codes) for part in of))
        case Any(of):
            return or_(false(), *(condition(part, codes) for part in of))
        case Not(of):
            return not_(func.coalesce(condition(of, codes), false()))
        case KindIs(kinds):
            return EVENT.kind.in_([int(kind) for kind in kinds])
        case NameIs(names):
            return among(EVENT.name, [codes.terms[name] for name in names if name in codes.terms])
        case SubjectIs(subjects):
            return among(EVENT.subject, [codes.subjects[who] for who in subjects if who in codes.subjects])
        case DimensionIs():
            return _dimension(root, codes)
        case PropertyIs():
            return _property(root)
        case MeasureIs():
            return _ordered(EVENT[root.measure], root.op, root.value)
        case FlagIs(flag, value):
            return EVENT[flag].is_(value)
        case InSegment(segment, op):
            inside = _inside(codes.members[segment])
            return inside if op is Op.IN else and_(EVENT.subject.is_not(None), not_(inside))


def _inside(members: Members) -> ColumnElement[bool]:
    if members.size <= _FEW:
        return among(EVENT.subject, members.codes.tolist())
    bits = bindparam(None, members.bits, type_=LargeBinary)
    # One bit a subject: a parameter 32 times smaller than the codes, and nothing to be hashed.
    return case((EVENT.subject < len(members.bits) * 8, func.get_bit(bits, EVENT.subject) == 1), else_=false())


def among(column: ColumnElement[int], codes: list[int]) -> ColumnElement[bool]:
    """Whether a column has one of the codes."""
    return column == any_(_codes(codes)) if codes else false()


def _codes(codes: list[int]) -> ColumnElement[Sequence[int]]:
    # One parameter however many there are: a statement has room for 32,767.
    return bindparam(None, codes, type_=ARRAY(Integer))


def _dimension(leaf: DimensionIs, codes: Codes) -> ColumnElement[bool]:
    column = EVENT[leaf.dimension]
    wanted = [codes.terms[value] for value in leaf.values if value in codes.terms]
    match leaf.op:
        case Op.IN:
            return among(column, wanted)
        case Op.NOT_IN:
            return and_(column.is_not(None), column != all_(_codes(wanted))) if wanted else column.is_not(None)
        case Op.EXISTS:
            return column.is_not(None)
        case Op.MISSING:
            return column.is_(None)
        case _:
            raise ValueError(f"a dimension has no {leaf.op}")


def trait(constant: Constant) -> ColumnElement[int]:
    """A number that is the same for equal values of a trait that is no dimension; NULL where there is none.

    It is a hash of 64 bits: among ten million values two share one in fewer than three of a million questions.
    """
    if constant.property is not None:
        path = bindparam(None, list(constant.property), type_=ARRAY(Text))
        return _hashed(func.nullif(EVENT.properties.op("#>", return_type=JSONB())(path).cast(Text), "null"))
    return _hashed(EVENT.session if constant.trait is Trait.SESSION else EVENT.order_id)


def _hashed(column: ColumnElement[str]) -> ColumnElement[int]:
    return func.hashtextextended(column, 0)


def _ordered(column: ColumnElement[Decimal], op: Op, value: Decimal | None) -> ColumnElement[bool]:
    if op is Op.EXISTS:
        return column.is_not(None)
    if op is Op.MISSING:
        return column.is_(None)
    compared: ColumnElement[bool] = getattr(column, _ORDER[op])(value)
    return compared


def _property(leaf: PropertyIs) -> ColumnElement[bool]:
    path = bindparam(None, list(leaf.path), type_=ARRAY(Text))
    found = EVENT.properties.op("#>", return_type=JSONB())(path)
    match leaf.op:
        case Op.EXISTS:
            return found.is_not(None)
        case Op.MISSING:
            return found.is_(None)
        case Op.IN | Op.NOT_IN:
            values = bindparam(None, list(map(_json, leaf.values)), type_=ARRAY(Text)).cast(ARRAY(JSONB))
            return found == any_(values) if leaf.op is Op.IN else and_(found.is_not(None), found != all_(values))
        case _:
            number = EVENT.properties.op("#>>", return_type=Text())(path).cast(Numeric)
            is_number = func.jsonb_typeof(found) == "number"
            (value,) = leaf.values
            return case((is_number, getattr(number, _ORDER[leaf.op])(value)), else_=false())


def _json(value: str | bool | int | Decimal) -> str:
    return str(value) if isinstance(value, Decimal) else orjson.dumps(value).decode()
