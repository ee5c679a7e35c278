"""Those whom events are about."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Subject:
    """Someone or something that events are about, by the name that their sender gave it."""

    subject: str
