"""Evaluating flags: definitions and a person in, value, variation and reason out. No input or output, no randomness.

Reasons and error codes are those of OpenFeature (https://openfeature.dev/specification/types). A rule that reaches a
share draws by ``Purpose.ROLLOUT``, a split of several variations by ``Purpose.VARIANT``, both by the flag's salt: a
share that grows keeps everybody it had, and says nothing of who gets which variation.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Any

from resolvers.analysis.bucketing import Purpose, chosen, place, within
from resolvers.analysis.flag_targeting import Person
from resolvers.analysis.flag_times import is_on, reached
from resolvers.analysis.flags import WHOLE, Flag, FlagEnvironment, Flags, FlagType, Rule, Serve, only


class FlagReason(Enum):
    """Why a flag has the value it has."""

    STATIC = "static"
    DEFAULT = "default"
    TARGETING_MATCH = "targeting_match"
    SPLIT = "split"
    DISABLED = "disabled"
    ERROR = "error"


class FlagError(Enum):
    """Why there is no value."""

    FLAG_NOT_FOUND = "flag_not_found"
    TARGETING_KEY_MISSING = "targeting_key_missing"
    TYPE_MISMATCH = "type_mismatch"
    INVALID_CONTEXT = "invalid_context"
    GENERAL = "general"


_MESSAGES = {
    FlagError.FLAG_NOT_FOUND: "There is no flag with this key.",
    FlagError.TARGETING_KEY_MISSING: "The flag draws shares of subjects: it needs a subject (targetingKey).",
}


@dataclass(frozen=True, slots=True)
class FlagEvaluation:
    """What a flag comes to for somebody; ``value`` and ``variation`` are None where there is an error."""

    flag: str
    value: Any
    variation: str | None
    reason: FlagReason
    rule: int | None = None
    """The place of the rule that decided; None where none did."""
    prerequisite: str | None = None
    """The flag whose variation was not one that is needed."""
    error: FlagError | None = None
    message: str | None = None


class _KeyMissing(Exception):
    """A share is to be drawn, and there is no subject."""


class Evaluator:
    """Evaluates flags of one environment for one person at one instant."""

    def __init__(self, flags: Flags, environment: str, person: Person, at: datetime) -> None:
        self._flags = flags
        self._environment = environment
        self._person = person
        self._at = at
        self._needed: dict[str, str | None] = {}
        """The variations of flags that others needed."""

    def evaluate(self, key: str) -> FlagEvaluation:
        """The evaluation of a flag; never raises."""
        flag = self._flags.get(key)
        if flag is None or flag.archived_at is not None:
            return failed(key, FlagError.FLAG_NOT_FOUND)
        try:
            return self._evaluated(flag)
        except _KeyMissing:
            return failed(key, FlagError.TARGETING_KEY_MISSING)

    def _evaluated(self, flag: Flag) -> FlagEvaluation:
        environment = flag.environments.get(self._environment)
        if environment is None:
            # Where it is not set up it is off, as anywhere else where that is said.
            elsewhere = next(iter(flag.environments.values()))
            return _given(flag, elsewhere.off, FlagReason.DISABLED)
        if not is_on(environment, self._at):
            return _given(flag, environment.off, FlagReason.DISABLED)
        for one in environment.prerequisites:
            if self._variation(one.flag) not in one.variations:
                return replace(_given(flag, environment.off, FlagReason.DISABLED), prerequisite=one.flag)
        for index, rule in enumerate(environment.rules):
            if rule.holds(self._person) and (found := self._ruled(flag, rule, index)) is not None:
                return found
        variation = self._drawn(flag, environment.default)
        return _given(flag, variation, _default_reason(environment))

    def _ruled(self, flag: Flag, rule: Rule, index: int) -> FlagEvaluation | None:
        parts = reached(rule, self._at)
        if parts < WHOLE and not within(self._place(Purpose.ROLLOUT, flag.salt), parts, WHOLE):
            return None
        partial = parts < WHOLE or only(rule.serve) is None
        reason = FlagReason.SPLIT if partial else FlagReason.TARGETING_MATCH
        return _given(flag, self._drawn(flag, rule.serve), reason, index)

    def _drawn(self, flag: Flag, serve: Serve) -> str:
        variation = only(serve)
        if variation is None:
            at = self._place(Purpose.VARIANT, flag.salt)
            variation = serve[chosen(at, [share.parts for share in serve])].variation
        return variation

    def _place(self, purpose: Purpose, salt: str) -> int:
        if self._person.subject is None:
            raise _KeyMissing
        return place(purpose, salt, self._person.subject)

    def _variation(self, key: str) -> str | None:
        if key not in self._needed:
            flag = self._flags.get(key)
            gone = flag is None or flag.archived_at is not None
            self._needed[key] = None if gone or flag is None else self._evaluated(flag).variation
        return self._needed[key]


def _given(flag: Flag, variation: str, reason: FlagReason, rule: int | None = None) -> FlagEvaluation:
    return FlagEvaluation(flag.key, flag.values[variation], variation, reason, rule)


def _default_reason(environment: FlagEnvironment) -> FlagReason:
    if only(environment.default) is None:
        return FlagReason.SPLIT
    dynamic = environment.rules or environment.prerequisites or environment.schedule
    return FlagReason.DEFAULT if dynamic else FlagReason.STATIC


def failed(key: str, error: FlagError, message: str | None = None) -> FlagEvaluation:
    """An evaluation that came to no value."""
    return FlagEvaluation(key, None, None, FlagReason.ERROR, error=error, message=message or _MESSAGES[error])


def expected(evaluation: FlagEvaluation, flag: Flag | None, wanted: FlagType | None) -> FlagEvaluation:
    """The evaluation, or the error that the flag is not of the type that the caller wants."""
    if flag is None or wanted is None or flag.type is wanted or evaluation.error is not None:
        return evaluation
    message = f"The flag is {flag.type.name}, not {wanted.name}."
    return failed(evaluation.flag, FlagError.TYPE_MISMATCH, message)
