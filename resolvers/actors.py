"""Who did something, as a trail of changes tells it."""

from dataclasses import dataclass

from resolvers.store.keys import ApiKeyRow


@dataclass(frozen=True, slots=True)
class Actor:
    """The key that did something."""

    prefix: str
    label: str

    @classmethod
    def of(cls, key: ApiKeyRow | None) -> "Actor | None":
        """None: there is no such key, as where the gateway did it by itself."""
        return None if key is None else cls(key.prefix, key.label)
