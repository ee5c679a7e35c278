"""Feature flags as they are made and changed."""

from typing import Annotated

import strawberry

from resolvers import flag_changes
from resolvers.analysis import flags as values
from resolvers.context import Role
from resolvers.flag_writing import Changed
from schema.access import Info, field
from schema.errors import Forbidden, InvalidInput, NotFound, Overloaded, Unauthenticated
from schema.flag_inputs import FlagEnvironmentInput, FlagVariationInput, read_environment, read_variations
from schema.flags import FeatureFlag
from schema.shapes import enumerate_in_schema

_KEY = "The flag's key."
_REASON = "Why, for the audit trail, at most 500 characters."
_NAME = "Its name for people, at most 200 characters"
_DESCRIPTION = "What it is for, at most 2,000 characters"
_TAGS = "Words by which flags are found together, at most 20 of at most 50 characters"
_VARIATIONS = "The values that it can have, 1 to 50"

enumerate_in_schema(
    flag_changes.RampMove,
    "What can be done to a ramp.",
    {
        "PAUSE": "It stays where it is.",
        "RESUME": "It goes on from where it was paused.",
        "ROLL_BACK": "It reaches nobody any more.",
        "RESTART": "It begins anew, now.",
    },
    name="FlagRampAction",
)


@strawberry.input(description="A flag to be made.")
class CreateFlagInput:
    key: str = strawberry.field(
        description=(
            "Its name in the application's code, which never changes: 1 to 100 letters and digits, and dots, hyphens "
            "and underscores between them."
        )
    )
    type: values.FlagType = strawberry.field(default=values.FlagType.BOOLEAN, description="What its values are.")
    name: str | None = strawberry.field(default=None, description=f"{_NAME}; the key where absent.")
    description: str | None = strawberry.field(default=None, description=f"{_DESCRIPTION}.")
    tags: list[str] = strawberry.field(default_factory=list, description=f"{_TAGS}.")
    variations: list[FlagVariationInput] = strawberry.field(
        default_factory=list, description=f"{_VARIATIONS}; where absent those of a BOOLEAN are `on` and `off`."
    )
    salt: str | None = strawberry.field(
        default=None,
        description=(
            "Decides, with the subject alone, whom its shares reach; the key where absent. Flags of the same salt "
            "reach the same people."
        ),
    )
    environments: list[FlagEnvironmentInput] = strawberry.field(
        default_factory=list,
        description="How it is set up, in at most 20 environments; where absent it is off in `production`.",
    )
    reason: str | None = strawberry.field(default=None, description=_REASON)


@strawberry.input(description="What a flag is to be in all environments; what is absent or null stays as it is.")
class UpdateFlagInput:
    key: str = strawberry.field(description=_KEY)
    name: str | None = strawberry.field(default=None, description=f"{_NAME}.")
    description: str | None = strawberry.field(default=None, description=f"{_DESCRIPTION}.")
    tags: list[str] | None = strawberry.field(default=None, description=f"{_TAGS}, in place of those it has.")
    variations: list[FlagVariationInput] | None = strawberry.field(
        default=None, description=f"{_VARIATIONS}, in place of those it has; what rules serve must be among them."
    )
    reason: str | None = strawberry.field(default=None, description=_REASON)


@strawberry.input(description="How a flag is to be set up in an environment.")
class SetFlagEnvironmentInput:
    key: str = strawberry.field(description=_KEY)
    environment: FlagEnvironmentInput = strawberry.field(
        description="All of it: it takes the place of how the flag was set up in the environment."
    )
    reason: str | None = strawberry.field(default=None, description=_REASON)


@strawberry.input(description="A flag to turn on or off.")
class ToggleFlagInput:
    key: str = strawberry.field(description=_KEY)
    on: bool = strawberry.field(description="Whether it is to be on.")
    environment: str = strawberry.field(default=values.PRODUCTION, description="The environment's name.")
    reason: str | None = strawberry.field(default=None, description=_REASON)


@strawberry.input(description="A ramp to steer.")
class SteerFlagRampInput:
    key: str = strawberry.field(description=_KEY)
    rule: int = strawberry.field(description="The place, from 0, of the rule that has the ramp.")
    step: flag_changes.RampMove = strawberry.field(description="What is to be done to it.")
    environment: str = strawberry.field(default=values.PRODUCTION, description="The environment's name.")
    reason: str | None = strawberry.field(default=None, description=_REASON)


@strawberry.input(description="A flag to archive, or to take from the archive.")
class ArchiveFlagInput:
    key: str = strawberry.field(description=_KEY)
    archived: bool = strawberry.field(default=True, description="Whether it is to be archived.")
    reason: str | None = strawberry.field(default=None, description=_REASON)


@strawberry.type(description="The flag is as it was asked to be; every gateway evaluates it so from now on.")
class FlagPayload:
    flag: FeatureFlag = strawberry.field(description="The flag as it is now.")
    changed: bool = strawberry.field(description="Whether anything was another way before.")

    @classmethod
    def of(cls, changed: Changed) -> "FlagPayload":
        """What a change led to."""
        return cls(flag=FeatureFlag.of(changed.flag), changed=changed.action is not None)


_UNION = "The flag as it is now, or why nothing was done."
CreateFlagResult = Annotated[
    FlagPayload | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    strawberry.union("CreateFlagResult", description=_UNION),
]
UpdateFlagResult = Annotated[
    FlagPayload | NotFound | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    strawberry.union("UpdateFlagResult", description=_UNION),
]
SetFlagEnvironmentResult = Annotated[
    FlagPayload | NotFound | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    strawberry.union("SetFlagEnvironmentResult", description=_UNION),
]
ToggleFlagResult = Annotated[
    FlagPayload | NotFound | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    strawberry.union("ToggleFlagResult", description=_UNION),
]
SteerFlagRampResult = Annotated[
    FlagPayload | NotFound | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    strawberry.union("SteerFlagRampResult", description=_UNION),
]
ArchiveFlagResult = Annotated[
    FlagPayload | NotFound | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    strawberry.union("ArchiveFlagResult", description=_UNION),
]


@strawberry.type
class FlagMutation:
    @field(Role.ANALYST, CreateFlagResult, "Make a flag.")
    async def create_flag(
        self, info: Info, input: Annotated[CreateFlagInput, strawberry.argument(description="The flag.")]
    ) -> FlagPayload:
        now = info.context.services.now()
        draft = flag_changes.FlagDraft(
            key=input.key,
            type=input.type,
            name=input.name,
            description=input.description,
            tags=tuple(input.tags),
            salt=input.salt,
            variations=read_variations(input.variations),
            environments=tuple(
                read_environment(input.key, one, now, f"environments[{index}].")
                for index, one in enumerate(input.environments)
            ),
        )
        return FlagPayload.of(await flag_changes.create_flag(info.context, draft, input.reason))

    @field(Role.ANALYST, UpdateFlagResult, "Change what a flag is in all environments.")
    async def update_flag(
        self, info: Info, input: Annotated[UpdateFlagInput, strawberry.argument(description="What to change.")]
    ) -> FlagPayload:
        given = {
            "name": input.name,
            "description": input.description,
            "tags": None if input.tags is None else tuple(input.tags),
            "variations": None if input.variations is None else read_variations(input.variations),
        }
        edit = {name: value for name, value in given.items() if value is not None}
        return FlagPayload.of(await flag_changes.update_flag(info.context, input.key, edit, input.reason))

    @field(
        Role.ANALYST,
        SetFlagEnvironmentResult,
        "Set a flag up in an environment: rules, shares, ramps, prerequisites, schedule.",
    )
    async def set_flag_environment(
        self,
        info: Info,
        input: Annotated[SetFlagEnvironmentInput, strawberry.argument(description="How to set it up.")],
    ) -> FlagPayload:
        now = info.context.services.now()
        draft = read_environment(input.key, input.environment, now, "environment.")
        changed = await flag_changes.set_flag_environment(info.context, input.key, draft, input.reason)
        return FlagPayload.of(changed)

    @field(Role.ANALYST, ToggleFlagResult, "Turn a flag on or off in an environment at once.")
    async def toggle_flag(
        self, info: Info, input: Annotated[ToggleFlagInput, strawberry.argument(description="Which, and how.")]
    ) -> FlagPayload:
        changed = await flag_changes.toggle_flag(info.context, input.key, input.environment, input.on, input.reason)
        return FlagPayload.of(changed)

    @field(Role.ANALYST, SteerFlagRampResult, "Pause, resume, roll back or restart the ramp of a rule.")
    async def steer_flag_ramp(
        self, info: Info, input: Annotated[SteerFlagRampInput, strawberry.argument(description="Which, and how.")]
    ) -> FlagPayload:
        changed = await flag_changes.steer_ramp(
            info.context, input.key, input.environment, input.rule, input.step, input.reason
        )
        return FlagPayload.of(changed)

    @field(
        Role.ADMIN,
        ArchiveFlagResult,
        "Archive a flag, or restore it. An archived one is FLAG_NOT_FOUND to whoever evaluates it, its trail stays, "
        "and no other flag takes its key.",
    )
    async def archive_flag(
        self, info: Info, input: Annotated[ArchiveFlagInput, strawberry.argument(description="Which.")]
    ) -> FlagPayload:
        changed = await flag_changes.archive_flag(info.context, input.key, input.archived, input.reason)
        return FlagPayload.of(changed)
