"""What can be set from outside, with the defaults: the one place that reads the environment and ``.env``."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from redis.asyncio.connection import parse_url

from gateway.limits import Limits

PREFIX = "GATEWAY_"
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@\sA-Z]+")
SECRET_LENGTH = 16
"""Least number of characters of a key or secret that is given from outside."""


class SettingsError(Exception):
    """A setting is not usable; the message names each one and says why, never its value."""


class Settings(BaseSettings):
    """Every setting: ``GATEWAY_<NAME>`` in the environment, except DATABASE_URL and REDIS_URL."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,
    )

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for every interface.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    data_dir: Path = Field(
        default_factory=lambda: platformdirs.user_data_path("metrics-gateway", appauthor=False),
        description="Folder of the embedded PostgreSQL; unused with DATABASE_URL. Default: per-user folder.",
    )
    database_url: str | None = Field(
        None,
        validation_alias="DATABASE_URL",
        repr=False,
        description="PostgreSQL >= 16, postgresql://user:password@host:port/database. Default: embedded.",
    )
    redis_url: str | None = Field(
        None,
        validation_alias="REDIS_URL",
        repr=False,
        description="Redis for several gateways to share answers, redis://, rediss:// or unix://. Default: none.",
    )
    bootstrap_key: SecretStr | None = Field(
        None,
        min_length=SECRET_LENGTH,
        description="Admin key of the first tenant, at least 16 characters. Default: made up and shown once.",
    )
    secret: SecretStr | None = Field(
        None,
        min_length=SECRET_LENGTH,
        description="Pepper of the stored key hashes; changing it makes every key invalid. Default: none.",
    )
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Origins of browser pages that may call the API, comma-separated; * is any. Default: its own only.",
    )
    log_format: Literal["console", "json"] = Field("console", description="console for people, json for collectors.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severity logged.")

    trusted_proxies: str = Field(
        "127.0.0.1,::1", description="Addresses whose X-Forwarded headers are believed, comma-separated."
    )

    upkeep: bool = Field(
        True,
        description="Whether this process folds journeys and refreshes segments; one of those with a database has to.",
    )
    pool_size: int = Field(10, ge=3, le=200, description="Database connections of a process.")
    max_connections: int = Field(20_000, ge=1, description="Client connections of a process; more get 503.")
    max_body_bytes: int = Field(8 << 20, ge=1024, description="Size of a GraphQL request body.")
    max_ingest_bytes: int = Field(32 << 20, ge=1024, description="Size of an /ingest body, after decompression.")
    max_batch: int = Field(10_000, ge=1, le=10_000, description="Events of one request.")
    max_message_bytes: int = Field(64 << 10, ge=1024, description="Size of a WebSocket message from a client.")
    max_tokens: int = Field(2_000, ge=100, description="Tokens of a GraphQL document.")
    max_depth: int = Field(10, ge=3, description="Nesting of a GraphQL document; introspection has its own.")
    max_aliases: int = Field(30, ge=1, description="Aliases of a GraphQL document, fragments expanded.")
    max_directives: int = Field(20, ge=0, description="Directives of a GraphQL document, fragments expanded.")
    max_cost: int = Field(20_000, ge=100, description="Fields an answer may hold, lists at the size asked for.")
    max_subscriptions: int = Field(100, ge=1, description="Subscriptions open on one WebSocket.")
    max_tenant_subscriptions: int = Field(50_000, ge=1, description="Subscriptions open for one tenant.")
    max_tenant_connections: int = Field(15_000, ge=1, description="WebSockets and event streams of one tenant.")
    max_key_connections: int = Field(10_000, ge=1, description="WebSockets and event streams of one key.")
    max_requests: int = Field(
        1_000, ge=1, description="Requests under way in a process; more get 503, and sooner where answers take long."
    )
    key_rate: float = Field(
        2_000, ge=0, description="Requests or WebSocket operations a second of a key; more get 429. 0: any number."
    )
    tenant_rate: float = Field(5_000, ge=0, description="The same of all keys of a tenant.")
    key_cost_rate: float = Field(
        500_000, ge=0, description="Fields a second that are computed for a key, as in GATEWAY_MAX_COST. 0: any number."
    )
    address_rate: float = Field(
        100, ge=0, description="Requests a second of an address without a key; a wrong key counts as 10. 0: any number."
    )

    head_seconds: float = Field(8.0, gt=0, description="Time a client has to send the head of a request.")
    body_seconds: float = Field(5.0, gt=0, description="Time a client has to send the body of a request.")
    init_seconds: float = Field(10.0, gt=0, description="Time a WebSocket client has to send connection_init.")
    stall_seconds: float = Field(10.0, gt=0, description="Time a client may read nothing of what waits for it.")
    operation_seconds: float = Field(5.0, gt=0, description="Time an operation may take.")
    statement_seconds: float = Field(4.0, gt=0, description="Time a database statement may take.")
    queue_seconds: float = Field(
        0.6, gt=0, description="Time that a request waits for others, since it came, until it is worked on; then 503."
    )
    lock_seconds: float = Field(3.0, gt=0, description="Time a database statement waits for a lock.")
    pool_wait_seconds: float = Field(2.0, gt=0, description="Time an operation waits for a database connection.")
    shutdown_seconds: int = Field(5, ge=1, le=8, description="Time that running requests get at shutdown.")

    @field_validator("allowed_origins", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(origin == "*" or _ORIGIN.fullmatch(origin) for origin in value):
            raise ValueError("must be origins as browsers send them: https://host or https://host:port, in lower case")
        return value

    @field_validator("database_url")
    @classmethod
    def _postgresql(cls, value: str | None) -> str | None:
        scheme = (value or "postgresql:").partition(":")[0].partition("+")[0]
        if scheme not in {"postgresql", "postgres"}:
            raise ValueError("must begin with postgresql://")
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: str | None) -> str | None:
        try:
            parse_url(value or "redis:")
        except ValueError:
            raise ValueError("must be a redis://, rediss:// or unix:// address") from None
        return value

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        return self.host in {"localhost", "::1"} or self.host.startswith("127.")

    def limits(self) -> Limits:
        """What callers may ask for."""
        return Limits(
            tokens=self.max_tokens,
            depth=self.max_depth,
            aliases=self.max_aliases,
            directives=self.max_directives,
            cost=self.max_cost,
            body=self.max_body_bytes,
            body_seconds=self.body_seconds,
            operation_seconds=self.operation_seconds,
            message=self.max_message_bytes,
            init_seconds=self.init_seconds,
            subscriptions=self.max_subscriptions,
            connections=self.max_connections,
            connections_per_tenant=self.max_tenant_connections,
            connections_per_key=self.max_key_connections,
            subscriptions_per_tenant=self.max_tenant_subscriptions,
            requests=self.max_requests,
            key_rate=self.key_rate,
            tenant_rate=self.tenant_rate,
            key_cost_rate=self.key_cost_rate,
            address_rate=self.address_rate,
        )


def variable(field: str) -> str:
    """The environment variable that sets a field."""
    alias = Settings.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else f"{PREFIX}{field}".upper()


def load_settings(**given: Any) -> Settings:
    """The settings of this process; ``given`` (the command line's; None: not given) precede the environment.

    Raises SettingsError.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        lines = [f"{_named(problem['loc'])}: {problem['msg']}" for problem in error.errors(include_input=False)]
        raise SettingsError("\n".join(lines)) from None


def _named(location: tuple[int | str, ...]) -> str:
    name = str(location[0])
    return variable(name) if name in Settings.model_fields else name
