"""Which funnels can be walked."""

from datetime import timedelta

from resolvers.analysis.events import DIMENSIONS
from resolvers.analysis.filters import weight
from resolvers.analysis.funnel_outcomes import Outcome
from resolvers.analysis.funnels import Constant, Exclusion, FunnelDefinition, Order, Step
from resolvers.answers import Kinds, depends_on
from resolvers.errors import BadInput

FEWEST_STEPS, MOST_STEPS = 2, 20
MOST_EXCLUSIONS = 10
MOST_CONSTANTS = 3
LONGEST_WINDOW = timedelta(days=366)
LONGEST_NAME = 200


def kinds(definition: FunnelDefinition) -> Kinds:
    """The kinds of events that the funnel depends on."""
    return depends_on(*definition.conditions())


def cost(definition: FunnelDefinition) -> int:
    """How many conditions and values its filters hold."""
    return sum(map(weight, definition.conditions()))


def checked(definition: FunnelDefinition) -> FunnelDefinition:
    """The definition itself; raises BadInput where it is none that can be walked."""
    if not FEWEST_STEPS <= len(definition.steps) <= MOST_STEPS:
        raise BadInput(
            f"A funnel has {FEWEST_STEPS} to {MOST_STEPS} steps; this one has {len(definition.steps)}.",
            field="steps",
        )
    _check_span(definition.window, "window")
    for index, step in enumerate(definition.steps):
        _check_step(definition, index, step)
    if len(definition.exclusions) > MOST_EXCLUSIONS:
        raise BadInput(f"A funnel has at most {MOST_EXCLUSIONS} exclusions.", field="exclusions")
    for index, exclusion in enumerate(definition.exclusions):
        _check_exclusion(definition, exclusion, f"exclusions[{index}]")
    if len(definition.constant) > MOST_CONSTANTS:
        raise BadInput(f"At most {MOST_CONSTANTS} values are held constant.", field="constant")
    for index, constant in enumerate(definition.constant):
        _check_constant(constant, f"constant[{index}]")
    if definition.order is Order.ANY and definition.strictly_later:
        raise BadInput("In any order no step is later than another.", field="strictlyLater")
    return definition


def check_outcome(definition: FunnelDefinition, step: int, outcome: Outcome, field: str = "step") -> None:
    """Raises BadInput where nobody can have the outcome at the step."""
    if not 0 <= step < len(definition.steps):
        raise BadInput(f"There is no step {step}; steps count from 0 to {len(definition.steps) - 1}.", field=field)
    if outcome is Outcome.DROPPED and step == 0:
        raise BadInput("Nobody drops out before the first step; take a later one.", field=field)


def _check_span(span: timedelta, field: str) -> None:
    if not timedelta(0) < span <= LONGEST_WINDOW:
        raise BadInput("A window is longer than nothing and at most 366 days.", field=field)


def _check_step(definition: FunnelDefinition, index: int, step: Step) -> None:
    field = f"steps[{index}]"
    if not step.name.strip() or len(step.name) > LONGEST_NAME or not step.name.isprintable():
        raise BadInput(f"A name has 1 to {LONGEST_NAME} printable characters, not only blanks.", field=f"{field}.name")
    if step.optional and index in (0, len(definition.steps) - 1):
        raise BadInput(
            "The first and the last step are required: they say who enters and who converts.",
            field=f"{field}.optional",
        )
    if step.within is not None:
        if index == 0:
            raise BadInput("The first step follows none.", field=f"{field}.within")
        if definition.order is Order.ANY:
            raise BadInput("In any order a step has no step before it.", field=f"{field}.within")
        _check_span(step.within, f"{field}.within")


def _check_exclusion(definition: FunnelDefinition, exclusion: Exclusion, field: str) -> None:
    last = len(definition.steps) - 1
    before = last if exclusion.before is None else exclusion.before
    for place, name in ((exclusion.after, "after"), (before, "before")):
        if not 0 <= place <= last:
            raise BadInput(f"There is no step {place}; steps count from 0 to {last}.", field=f"{field}.{name}")
        if definition.steps[place].optional:
            raise BadInput("An exclusion reaches from one required step to another.", field=f"{field}.{name}")
    if exclusion.after >= before:
        raise BadInput("An exclusion ends at a later step than it begins with.", field=f"{field}.before")
    if definition.order is Order.ANY and (exclusion.after, before) != (0, last):
        raise BadInput("In any order an exclusion is for the whole funnel.", field=field)


def _check_constant(constant: Constant, field: str) -> None:
    if sum(one is not None for one in (constant.dimension, constant.trait, constant.property)) != 1:
        raise BadInput("Give exactly one of dimension, trait and property.", field=field)
    if constant.dimension is not None and constant.dimension not in DIMENSIONS:
        raise BadInput(f"There is no dimension {constant.dimension}.", field=f"{field}.dimension")
    if constant.property == ():
        raise BadInput("A property has a path of at least one key.", field=f"{field}.property")
