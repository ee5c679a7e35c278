"""What became of an experiment: its units read in sum, and what that says."""

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from time import perf_counter

from resolvers.analysis.estimates import Unit
from resolvers.analysis.events import Kind
from resolvers.analysis.experiment_answers import ExperimentAnswer
from resolvers.analysis.experiment_cells import ALL, BY_DAY, BY_DIMENSION, Cell, Cells
from resolvers.analysis.experiment_looks import Sample
from resolvers.analysis.experiment_metric_results import AskedSegment, Described, Material, ResultsQuestion
from resolvers.analysis.experiment_results import Results
from resolvers.analysis.experiments import Experiment, ExperimentMetric, Measure, MultipleExposures, Tally
from resolvers.analysis.explanations import Explanation, Source
from resolvers.analysis.filter_words import events
from resolvers.analysis.filters import EVERYTHING, All, Filter, InSegment
from resolvers.analysis.members import Members
from resolvers.analysis.metrics import MONEY_FIELDS
from resolvers.analysis.questions import Question
from resolvers.answers import Kinds, Resolved, kept, resolved, segments_of
from resolvers.catalogue import metric
from resolvers.context import Context, Role
from resolvers.errors import BadInput
from resolvers.experiment_checks import kinds
from resolvers.experiments import experiment
from resolvers.segments import segments_named
from resolvers.store.experiment_caps import Among, capped
from resolvers.store.experiment_days import cells_through, units_by_day
from resolvers.store.experiment_members import Cuts, cells_by_segment
from resolvers.store.experiment_sums import Reach, UnitRepository
from resolvers.store.experiment_unit_sql import Coded
from resolvers.store.experiments import EXPERIMENTS
from resolvers.store.members import MemberRepository
from resolvers.store.segment_definitions import SegmentDefinitions
from resolvers.store.terms import TERMS
from resolvers.store.turns import turn
from resolvers.store.versions import EXCHANGE_RATES, SEGMENTS

KINDS: Kinds = frozenset(map(int, Kind)) | {EXPERIMENTS, EXCHANGE_RATES, SEGMENTS}
"""What can change the results of an experiment of which nothing is known yet."""
MOST_SEGMENTS = 10
_POINTS = 20
"""Points of an answer that an effect of a metric comes to."""
_MOST_DAYS = 400


@dataclass(frozen=True, slots=True)
class Asking:
    """What is asked about which experiment: ``phase`` None is the present one, unless all are asked for.

    ``where`` says which of the exposures that count in it do.
    """

    key: str
    phase: int | None = None
    all_phases: bool = False
    multiple: MultipleExposures | None = None
    by: str | None = None
    over_time: bool = False
    segments: tuple[InSegment, ...] = ()
    where: Filter = EVERYTHING


async def experiment_results(context: Context, asking: Asking, question: Question) -> ExperimentAnswer:
    """The results of an experiment that has started; raises NotFound, BadInput naming the argument at fault."""
    principal = context.require(Role.VIEWER)
    of = await experiment(context, asking.key)
    if asking.where != EVERYTHING:
        # Another definition: what is kept by the experiment's own is of no use for it, and it is read from the log.
        where = All((of.definition.where, asking.where))
        of = replace(of, definition=replace(of.definition, where=where))
    definite = resolved(question, principal, context.services.now())
    asked = _question(of, asking, definite, await _segments(context, asking.segments))
    tests = len(of.definition.metrics) * (len(of.definition.variants) - 1)
    parts = len(asked.segments) + (asked.top + 2 if asked.by else 1)
    points = tests * (_POINTS * parts + (_MOST_DAYS if asked.over_time else 0))
    context.spend(points)
    subject = ("experiment", of, asked, definite)
    depends = kinds(of.definition) | segments_of(*asking.segments)
    return await kept(context, subject, depends, partial(_answer, context, of, asked), points=points)


async def _segments(context: Context, named: Sequence[InSegment]) -> tuple[int, ...]:
    """The numbers of segments; raises BadInput for too many, one that there is not, or one that is named twice."""
    if len(named) > MOST_SEGMENTS:
        raise BadInput(f"Ask for at most {MOST_SEGMENTS} segments at once.", field="bySegments")
    found = [one.id for one in await segments_named(context, named)] if named else []
    for leaf, number in zip(named, found, strict=True):
        if found.count(number) > 1:
            raise BadInput("A segment is named twice.", field=leaf.field)
    return tuple(found)


def _question(of: Experiment, asking: Asking, definite: Resolved, segments: tuple[int, ...]) -> ResultsQuestion:
    if not of.phases:
        raise BadInput(
            "It has not started: startExperiment does so.",
            field="experiment",
        )
    if asking.all_phases and asking.phase is not None:
        raise BadInput("Ask for one phase, or for allPhases.", field="allPhases")
    present = len(of.phases) if asking.phase is None else asking.phase
    phase = None if asking.all_phases else present
    if phase is not None and not 1 <= phase <= len(of.phases):
        raise BadInput(f"It has the phases 1 to {len(of.phases)}.", field="phase")
    if asking.by is not None and asking.by not in of.definition.breakdowns:
        names = ", ".join(name.upper() for name in of.definition.breakdowns) or "none"
        raise BadInput(f"Its results are kept by these dimensions: {names}; add others to its breakdowns.", field="by")
    multiple = asking.multiple or of.definition.multiple
    filtered = asking.where != EVERYTHING
    return ResultsQuestion(phase, multiple, asking.by, definite.top, asking.over_time, segments, filtered)


async def _answer(context: Context, of: Experiment, asked: ResultsQuestion) -> ExperimentAnswer:
    principal, services = context.require(Role.VIEWER), context.services
    as_of, started = services.now(), perf_counter()
    scheme = of.scheme(principal.currency, principal.timezone)
    cuts = [ALL, *([BY_DAY] if asked.over_time else [])]
    if asked.by is not None:
        cuts.append(BY_DIMENSION + of.definition.breakdowns.index(asked.by))
    # Sums are kept for no segment and no filter: whatever is asked of one is read unit by unit.
    waits = turn(services.heavy) if asked.segments or asked.filtered else nullcontext()
    async with waits, services.database.snapshot(principal.tenant_id) as session:
        units = UnitRepository(session, services.memory, principal.tenant_id)
        reach, coded = await units.reach(scheme), await Coded.of(units.terms, principal.tenant_id, scheme)
        found = await units.cells(coded, reach, cuts)
        among = Among(asked.phase, asked.multiple is MultipleExposures.EXCLUDE)
        segments, members = await _members(units, asked.segments)
        less, caps = await capped(units, coded, reach, found, among, Cuts(cuts, members))
        inside = await cells_by_segment(units, coded, reach, members)
        codes = [cell.value for cell in found if cell.cut >= BY_DIMENSION]
        names = await units.terms.values(principal.tenant_id, TERMS, codes) if codes else {}
        source = Source.UNITS if reach.folded_to else Source.LOG
        explain = Explanation(source, len(found), (perf_counter() - started) * 1e3, reach.version - reach.folded_to)
        cells = _cells(of, among, [*found, *inside, *less])
        described = [_described(one) for one in of.definition.metrics]
        money = principal.currency, principal.timezone
        material = Material(cells, names, caps, described, *money, as_of, explain, segments)
        draft = Results(of, asked, material)
        sample = await _sample(units, coded, reach, found, among, draft) if draft.planned else None
        answer = draft.answer(sample)
    explain = replace(explain, milliseconds=(perf_counter() - started) * 1e3)
    return replace(answer, explain=explain)


def _cells(of: Experiment, among: Among, cells: Iterable[Cell]) -> Cells:
    definition = of.definition
    return Cells(cells, len(definition.variants), len(definition.metrics), phase=among.phase, once=among.once)


async def _sample(
    units: UnitRepository, coded: Coded, reach: Reach, cells: Sequence[Cell], among: Among, draft: Results
) -> Sample | None:
    """The planned sample; None where nobody came after it."""
    day = draft.last_planned_day(_cells(draft.of, among, await units_by_day(units, coded, reach)))
    if day is None:
        return None
    found = await cells_through(units, coded, reach, day)
    # Caps are those of all units.
    less, _ = await capped(units, coded, reach, cells, among, Cuts([BY_DAY]))
    kept = (replace(cell, value=0) for cell in less if cell.value <= day)
    return Sample(day, _cells(draft.of, among, [*found, *kept]))


async def _members(units: UnitRepository, asked: Sequence[int]) -> tuple[list[AskedSegment], list[Members]]:
    """The segments, and their members as they were last found; raises Unavailable where they are not yet."""
    if not asked:
        return [], []
    leaves = [InSegment(number, field=f"bySegments[{place}]") for place, number in enumerate(asked)]
    members = await MemberRepository(units.session, units.terms.memory.members).of(units.tenant_id, leaves)
    rows = await SegmentDefinitions(units.session, units.tenant_id).by_ids(asked)
    known = {one.row.segment_id: (one.row.name, one.as_of) for one in rows if one.as_of}
    return [AskedSegment(number, *known[number]) for number in asked], [members[number] for number in asked]


def _described(one: ExperimentMetric) -> Described:
    """What the value of a metric is, and how it is come by."""
    within = f"of each subject's events from its first exposure on, for {_span(one.of.window)}"
    if one.metric is not None:
        found = metric(one.metric)
        unit = found.unit if one.of.per is not None or not one.of.value.share else Unit.RATIO
        if one.of.per is not None:
            return Described(unit, f"{found.definition.removesuffix('.')}; {within}.")
        # What the catalogue divides by is the exposed here.
        above = found.definition.partition(", divided by")[0].removesuffix(".")
        return Described(unit, f"{above}; {within}, divided by all exposed subjects.")
    above = _words(one.of.value)
    if one.of.per is None:
        return Described(_unit(one.of.value), f"{above}, {within}, divided by all exposed subjects.")
    units = (_unit(one.of.value), _unit(one.of.per))
    unit = Unit.RATIO if units[0] is units[1] else units[0]
    below = _words(one.of.per)
    return Described(unit, f"{above}, divided by {below[0].lower()}{below[1:]}, {within}.")


def _words(measure: Measure) -> str:
    match measure.tally:
        case Tally.ANY:
            return f"Subjects with {events(measure.where)}"
        case Tally.COUNT:
            return f"E{events(measure.where)[1:]}"
        case Tally.ORDERS:
            return f"Orders of {events(measure.where)}"
        case Tally.STEPS:
            return f"Subjects with {', then '.join(map(events, measure.steps))}"
        case Tally.SUM:
            return f"Sum of {measure.field} over {events(measure.where)}"


def _unit(measure: Measure) -> Unit:
    if measure.share:
        return Unit.RATIO
    if measure.tally is Tally.SUM and measure.field in MONEY_FIELDS:
        return Unit.MONEY
    return Unit.MILLISECONDS if measure.field == "duration_ms" and measure.tally is Tally.SUM else Unit.COUNT


def _span(window: timedelta) -> str:
    days = window / timedelta(days=1)
    return f"{days:g} days" if days != 1 else "a day"
