"""What people deploy with names settings that exist, and is what its tools accept."""

import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from gateway.settings import Settings, load_settings, variable

ROOT = Path(__file__).parents[2]
SETTINGS = {variable(field): field for field in Settings.model_fields}
INTERPOLATION = re.compile(r"\$\{(\w+):-([^}]*)\}")

DURATION = {"type": "string", "pattern": r"^(\d+(h|m|s|ms|us))+$"}
COMMAND = {"type": "array", "items": {"type": "string"}, "minItems": 1}


def _object(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required or [], "additionalProperties": False}


def _mapping(values: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": values}


HEALTH_CHECK = _object(
    {
        "disable": {"type": "boolean"},
        "test": {"type": "array", "items": {"type": "string"}, "contains": {"enum": ["CMD", "CMD-SHELL"]}},
        "interval": DURATION,
        "timeout": DURATION,
        "start_period": DURATION,
        "retries": {"type": "integer", "minimum": 1},
    }
)
CONDITION = {"enum": ["service_started", "service_healthy", "service_completed_successfully"]}
SERVICE = {
    **_object(
        {
            "build": {"type": "string"},
            "image": {"type": "string", "pattern": r"^[a-z0-9./_-]+:[A-Za-z0-9._-]+$"},
            "command": COMMAND,
            "environment": _mapping({"type": "string"}),
            "depends_on": _mapping(_object({"condition": CONDITION}, ["condition"])),
            "healthcheck": HEALTH_CHECK,
            "init": {"type": "boolean"},
            "ports": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
            "restart": {"type": "string", "pattern": r"^(no|always|on-failure(:\d+)?|unless-stopped)$"},
            "shm_size": {"type": "string", "pattern": r"^\d+(b|k|m|g|kb|mb|gb)$"},
            "stop_grace_period": DURATION,
            "volumes": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
        }
    ),
    "oneOf": [{"required": ["build"]}, {"required": ["image"]}],
}
COMPOSE = _object(
    {
        "name": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$"},
        "services": _mapping(SERVICE),
        "volumes": _mapping({"type": ["object", "null"]}),
    },
    ["services"],
)
"""The part of the Compose Specification that the file uses, and nothing beyond it."""


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert isinstance(loaded, dict)
    return loaded


def _environment(compose: dict[str, Any], service: str) -> dict[str, str]:
    given: dict[str, str] = compose["services"][service]["environment"]
    return {name: INTERPOLATION.sub(r"\2", value) for name, value in given.items()}


def test_the_compose_file_is_one(compose: dict[str, Any]) -> None:
    jsonschema.validate(compose, COMPOSE)


def test_services_and_volumes_that_are_named_exist(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert {"gateway", "migrate", "postgres", "redis"} == set(services)
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        for name, wanted in service.get("depends_on", {}).items():
            healthy = wanted["condition"] == "service_healthy"
            assert not healthy or "test" in services[name]["healthcheck"]
        assert {volume.partition(":")[0] for volume in service.get("volumes", ())} <= set(compose["volumes"])


@pytest.mark.parametrize("service", ["gateway", "migrate"])
def test_the_compose_file_gives_usable_settings(
    compose: dict[str, Any], service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = _environment(compose, service)
    assert set(environment) <= set(SETTINGS)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert load_settings().database_url == "postgresql://gateway:only-for-trying-out@postgres:5432/gateway"


def test_the_database_is_made_with_the_credentials_that_the_gateway_uses(compose: dict[str, Any]) -> None:
    made = _environment(compose, "postgres")
    url = f"postgresql://{made['POSTGRES_USER']}:{made['POSTGRES_PASSWORD']}@postgres:5432/{made['POSTGRES_DB']}"
    assert _environment(compose, "gateway")["DATABASE_URL"] == url


def test_every_variable_has_a_default() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    assert len(re.findall(r"\$\{", text)) == len(INTERPOLATION.findall(text))


def test_the_image_runs_as_an_ordinary_user_with_settings_that_exist() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert re.findall(r"^USER (\S+)", text, re.M) == ["gateway"]
    assert set(re.findall(r"\b(GATEWAY_\w+)=", text)) <= set(SETTINGS)
    assert "HEALTHCHECK" in text
    copied = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert all((ROOT / name).exists() for name in copied)


def test_constraints_are_exact_and_agree_with_the_project() -> None:
    lines = (ROOT / ".constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    for requirement in wanted:
        name, version = re.fullmatch(r"([\w-]+)(?:\[\w+\])?==([\w.]+)(?:;.*)?", requirement).groups()  # type: ignore[union-attr]  # else the test fails
        assert {key.lower().replace("_", "-"): value for key, value in pins.items()}[name.lower()] == version
