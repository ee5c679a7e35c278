"""The trail of what was done to feature flags: by whom, when and why, listed and watched."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Annotated

import strawberry
from strawberry.scalars import JSON

from resolvers import flags
from resolvers.context import Context, Role
from schema.access import Info, field
from schema.actors import Actor
from schema.errors import refusal
from schema.flag_documents import shown
from schema.nodes import Node, encode
from schema.pages import MAX_PAGE, After, Connection, First, open_cursor, page
from schema.scalars import BigInt
from schema.shapes import enumerate_in_schema, shapes

_GREATEST = 2**53 - 1

enumerate_in_schema(
    flags.FlagAction,
    "What was done to a flag.",
    {
        "CREATE": "It was made.",
        "UPDATE": "Its name, description, tags or variations were changed.",
        "CONFIGURE": "It was set up in an environment.",
        "TOGGLE": "It was turned on or off.",
        "ARCHIVE": "It was archived.",
        "RESTORE": "It was taken from the archive.",
        "SCHEDULE": "A step of its schedule came.",
        "RAMP_STEP": "A ramp reached its next step.",
        "RAMP_PAUSE": "A ramp was paused, by somebody or by a guardrail.",
        "RAMP_RESUME": "A ramp was resumed.",
        "RAMP_ROLL_BACK": "A ramp was rolled back, by somebody or by a guardrail.",
        "RAMP_RESTART": "A ramp was begun anew.",
    },
)


@shapes(flags.FlagChange)
@strawberry.type(description="Something that was done to a flag; it is never changed or deleted.")
class FlagChange(Node):
    version: BigInt = strawberry.field(
        description="The version of all the tenant's flags that it led to: it grows by one with each change."
    )
    flag: str = strawberry.field(description="The flag's key.")
    action: flags.FlagAction = strawberry.field(description="What was done.")
    at: datetime = strawberry.field(description="When.")
    by: Actor | None = strawberry.field(
        description="The key that did it; null where the gateway did by itself: a schedule, a ramp or a guardrail."
    )
    environment: str | None = strawberry.field(description="In which environment; null where in all.")
    reason: str | None = strawberry.field(description="Why; null where nobody said.")
    before: JSON | None = strawberry.field(
        description="What was changed as it was before, by name; null where the flag was made."
    )
    after: JSON = strawberry.field(description="What was changed as it is since, by name.")

    @classmethod
    def of(cls, change: flags.FlagChange) -> "FlagChange":
        """The change as GraphQL shows it."""
        return cls(
            id=strawberry.ID(encode("FlagChange", str(change.version))),
            version=BigInt(change.version),
            flag=change.flag,
            action=change.action,
            at=change.at,
            by=change.by,  # type: ignore[arg-type]  # the value that the type shapes
            environment=change.environment,
            reason=change.reason,
            before=None if change.before is None else JSON(shown(change.before)),
            after=JSON(shown(change.after)),
        )

    @classmethod
    async def load(cls, context: Context, keys: Sequence[str]) -> dict[str, Node]:
        versions = {key: int(key) for key in keys if key.isascii() and key.isdigit() and len(key) <= 15}
        found = await flags.changes_by_version(context, set(versions.values()))
        return {key: cls.of(found[version]) for key, version in versions.items() if version in found}


KeyArgument = Annotated[str | None, strawberry.argument(description="Only of the flag with this key; absent: of all.")]


@strawberry.type
class FlagTrailQuery:
    @field(Role.VIEWER, Connection[FlagChange], "What was done to flags, newest first: the audit trail.")
    async def flag_changes(
        self, info: Info, key: KeyArgument = None, first: First = 50, after: After = None
    ) -> Connection[FlagChange]:
        cursor = open_cursor("FlagChange", after)
        found = await flags.flag_changes(info.context, key=key, first=first, after=cursor)
        nodes = [FlagChange.of(change) for change in found.changes]
        return page("FlagChange", nodes, found.cursors, has_next=found.has_next, after=after)


@strawberry.type
class FlagTrailSubscription:
    @field(
        Role.VIEWER,
        list[FlagChange],
        (
            "What is done to flags, as it is done, oldest first. Each message holds those changes that came together, "
            f"at most {MAX_PAGE}; none is left out and none comes twice."
        ),
        is_subscription=True,
    )
    async def flag_changes(
        self,
        info: Info,
        key: KeyArgument = None,
        since: Annotated[
            object | None,
            strawberry.argument(
                graphql_type=BigInt | None,
                description="Begin after this `version`, so that none is missed; absent: with what is done from now.",
            ),
        ] = None,
    ) -> AsyncIterator[list[FlagChange]]:
        if key is not None:
            flags.named(await flags.known(info.context), key)
        return _shown(flags.changes_stream(info.context, key=key, since=_version(since)))


def _version(since: object | None) -> int | None:
    digits = str(since) if isinstance(since, int | str) and not isinstance(since, bool) else ""
    if since is None:
        return None
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 16 and int(digits) <= _GREATEST):
        raise refusal("since", "must be the version of a change")
    return int(digits)


async def _shown(stream: AsyncGenerator[tuple[flags.FlagChange, ...]]) -> AsyncIterator[list[FlagChange]]:
    # Closed together with the subscription, not whenever it is collected.
    async with aclosing(stream):
        async for batch in stream:
            yield [FlagChange.of(change) for change in batch]
