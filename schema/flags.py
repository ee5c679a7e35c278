"""Feature flags: the list, one of them, what it gave, whom it covers, whether it might go."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

import strawberry

from resolvers import flag_coverage, flags
from resolvers.analysis import flag_staleness
from resolvers.analysis import flags as values
from resolvers.context import Context, Role
from resolvers.store import flag_tallies
from schema.access import Info, field
from schema.arguments import read_span
from schema.common import Estimate
from schema.flag_definitions import FlagEnvironment, FlagVariation
from schema.nodes import Node, encode
from schema.pages import After, Connection, First, open_cursor, page
from schema.scalars import BigInt
from schema.shapes import enumerate_in_schema, shapes

_SHOWN = tuple("key type name description tags salt variations created_at changed_at archived_at version".split())

enumerate_in_schema(
    flag_staleness.StaleReason,
    "Why a flag might go.",
    {
        "ROLLED_OUT": "It is on, everybody has got the same variation for so long, and nothing is to change that.",
        "OFF": "It has been off for so long, and nothing is to change that.",
        "NEVER_EVALUATED": "It was set up so long ago, and the gateway never evaluated it.",
        "NOT_EVALUATED": "The gateway has not evaluated it for so long.",
    },
    name="FlagStaleReason",
)


@shapes(flag_staleness.Staleness)
@strawberry.type(description="Why a flag might go from an environment.")
class FlagStaleness:
    environment: str = strawberry.field(description="The environment.")
    reason: flag_staleness.StaleReason = strawberry.field(description="Why.")
    variation: str | None = strawberry.field(
        description="The variation that everybody gets, to be kept in the code; null where that is not the reason."
    )
    since: datetime = strawberry.field(description="Since when.")


@shapes(flag_tallies.Given)
@strawberry.type(
    description=(
        "How often the gateway gave a variation. These are figures of use: local evaluations are not counted, and a "
        "gateway that is killed loses up to 20 seconds of them."
    )
)
class FlagTally:
    environment: str = strawberry.field(description="The environment.")
    variation: str = strawberry.field(description="The variation's key.")
    evaluations: BigInt = strawberry.field(description="How often it was given.")
    last_at: datetime = strawberry.field(description="When it was last given, to about 20 seconds.")


@shapes(flag_coverage.VariationShare)
@strawberry.type(description="The share of active subjects that get a variation.")
class FlagVariationShare:
    variation: str | None = strawberry.field(
        description="The variation's key; null stands for those whose evaluation is an error."
    )
    share: Estimate = strawberry.field(description="The share; without an interval where all subjects were counted.")


@shapes(flag_coverage.FlagCoverage)
@strawberry.type(
    description=(
        "Which share of the subjects with an event in the last 30 days gets each variation, as the flag is set up now. "
        "The rules are put to each subject, or to a random sample of 5,000 where there are more."
    )
)
class FlagCoverage:
    environment: str = strawberry.field(description="The environment.")
    subjects: int = strawberry.field(description="How many subjects were active.")
    sampled: int = strawberry.field(description="How many of them were looked at.")
    shares: list[FlagVariationShare] = strawberry.field(description="A share for each variation, in their order.")
    unknown: list[str] = strawberry.field(
        description=(
            "Attributes that rules ask for and events do not tell (all but the shared dimensions): nobody is taken to "
            "have them."
        )
    )


EnvironmentArgument = Annotated[
    str,
    strawberry.argument(description="The environment's name; one that no flag is set up in is refused."),
]


@shapes(values.Flag)
@strawberry.type(description="A feature flag: a switch, or a value, that decides by rules who gets what.")
class FeatureFlag(Node):
    key: str = strawberry.field(description="Its name in the application's code; unique, and never changes.")
    type: values.FlagType = strawberry.field(description="What its values are.")
    name: str = strawberry.field(description="Its name for people.")
    description: str | None = strawberry.field(description="What it is for; null where nobody said.")
    tags: list[str] = strawberry.field(description="Words by which flags are found together.")
    salt: str = strawberry.field(
        description=(
            "Decides, with the subject alone, whom its shares reach; never changes. Flags of the same salt reach the "
            "same people."
        )
    )
    variations: list[FlagVariation] = strawberry.field(description="The values that it can have.")
    created_at: datetime = strawberry.field(description="When it was made.")
    changed_at: datetime = strawberry.field(description="When it was last changed.")
    archived_at: datetime | None = strawberry.field(description="When it was archived; null where it is not.")
    version: BigInt = strawberry.field(description="The version of all flags that its last change led to.")
    found: strawberry.Private[values.Flag]

    @classmethod
    def of(cls, found: values.Flag) -> "FeatureFlag":
        """The flag as GraphQL shows it."""
        shown: dict[str, Any] = {name: getattr(found, name) for name in _SHOWN}
        return cls(id=strawberry.ID(encode("FeatureFlag", found.key)), found=found, **shown)

    @classmethod
    async def load(cls, context: Context, keys: Sequence[str]) -> dict[str, Node]:
        found = await flags.flags_by_key(context, keys)
        return {key: cls.of(one) for key, one in found.items()}

    @field(Role.VIEWER, list[FlagEnvironment], "How it is set up, environment by environment.")
    def environments(self) -> list[values.FlagEnvironment]:
        return list(self.found.environments.values())

    @field(Role.VIEWER, list[FlagTally], "How often the gateway gave each of its variations, where it did.")
    async def evaluations(
        self,
        info: Info,
        days: Annotated[int, strawberry.argument(description="Of how many days (UTC), today included: 1 to 366.")] = 30,
    ) -> tuple[flag_tallies.Given, ...]:
        return await flags.given(info.context, self.found, days)

    @field(Role.VIEWER, FlagCoverage, "Which share of active subjects gets each of its variations now.")
    async def coverage(
        self, info: Info, environment: EnvironmentArgument = values.PRODUCTION
    ) -> flag_coverage.FlagCoverage:
        return await flag_coverage.coverage(info.context, self.found, environment)

    @field(Role.VIEWER, list[FlagStaleness], "Why it might go, for each environment where there is a reason.")
    async def stale(
        self,
        info: Info,
        after: Annotated[
            object, strawberry.argument(graphql_type=timedelta, description="How long is long, `1m` to `366d`.")
        ] = "30d",
    ) -> tuple[flag_staleness.Staleness, ...]:
        return await flags.stale(info.context, self.found, read_span(after, "after"))


@strawberry.type
class FlagQuery:
    @field(Role.VIEWER, FeatureFlag | None, "The flag of a key, archived or not. Null where there is none.")
    async def flag(
        self, info: Info, key: Annotated[str, strawberry.argument(description="The flag's key.")]
    ) -> FeatureFlag | None:
        found = await flags.flag(info.context, key)
        return None if found is None else FeatureFlag.of(found)

    @field(Role.VIEWER, Connection[FeatureFlag], "The tenant's flags, by key; archived ones only if asked for.")
    async def flags(
        self,
        info: Info,
        tag: Annotated[str | None, strawberry.argument(description="Only those with this tag.")] = None,
        environment: Annotated[
            str | None, strawberry.argument(description="Only those that are set up in this environment.")
        ] = None,
        stale: Annotated[
            bool | None,
            strawberry.argument(description="Only those that might go, as their `stale` says, or only the others."),
        ] = None,
        stale_after: Annotated[
            object,
            strawberry.argument(graphql_type=timedelta, description="How long is long for that, `1m` to `366d`."),
        ] = "30d",
        archived: Annotated[bool, strawberry.argument(description="Only archived ones instead of the others.")] = False,
        first: First = 50,
        after: After = None,
    ) -> Connection[FeatureFlag]:
        wanted = flags.Wanted(tag, environment, stale, read_span(stale_after, "staleAfter"), archived)
        found = await flags.flags(info.context, wanted, first=first, after=open_cursor("FeatureFlag", after))
        shown = [FeatureFlag.of(one) for one in found.flags]
        return page("FeatureFlag", shown, found.cursors, has_next=found.has_next, after=after)
