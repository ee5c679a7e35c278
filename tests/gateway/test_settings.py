"""Settings come from the command line, the environment, then ``.env``, and say what is wrong with them."""

from pathlib import Path

import pytest

from gateway.settings import Settings, SettingsError, load_settings, variable


@pytest.fixture(autouse=True)
def _clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for field in Settings.model_fields:
        monkeypatch.delenv(variable(field), raising=False)


def test_every_setting_has_a_default_and_a_description() -> None:
    load_settings()
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_addresses_are_read_without_the_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:p@db/x")
    monkeypatch.setenv("REDIS_URL", "redis://cache")
    settings = load_settings()
    assert (settings.database_url, settings.redis_url) == ("postgresql://u:p@db/x", "redis://cache")
    assert variable("database_url") == "DATABASE_URL"
    assert variable("port") == "GATEWAY_PORT"


def test_command_line_precedes_environment_precedes_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("GATEWAY_PORT=1001\nGATEWAY_HOST=10.0.0.1\nGATEWAY_LOG_LEVEL=error\nOTHER=x\n")
    monkeypatch.setenv("GATEWAY_PORT", "1002")
    monkeypatch.setenv("GATEWAY_HOST", "10.0.0.2")
    settings = load_settings(port=1003, host=None)
    assert (settings.port, settings.host, settings.log_level) == (1003, "10.0.0.2", "error")


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_BOOTSTRAP_KEY", "")
    monkeypatch.setenv("DATABASE_URL", "")
    settings = load_settings()
    assert settings.bootstrap_key is None
    assert settings.database_url is None


def test_a_short_key_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_BOOTSTRAP_KEY", "hunter2")
    with pytest.raises(SettingsError, match=r"GATEWAY_BOOTSTRAP_KEY: .*at least 16") as refusal:
        load_settings()
    assert "hunter2" not in str(refusal.value)


def test_every_wrong_setting_is_named() -> None:
    with pytest.raises(SettingsError) as refusal:
        load_settings(port=70_000, database_url="mysql://user:secret@db/x", log_format="xml")
    lines = str(refusal.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "GATEWAY_PORT",
        "DATABASE_URL",
        "GATEWAY_LOG_FORMAT",
    ]
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("url", ["http://:passw0rd@cache", "cache:6379", "redis://:passw0rd@cache:port"])
def test_an_address_that_is_none_of_a_redis_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^REDIS_URL: .*must be a redis://") as refusal:
        load_settings(redis_url=url)
    assert url not in str(refusal.value)
    assert "passw0rd" not in str(refusal.value)


@pytest.mark.parametrize("url", ["redis://cache", "rediss://user:p%2Fw@cache:6380/2", "unix:///run/redis?db=1"])
def test_addresses_of_a_redis_are_taken(url: str) -> None:
    assert load_settings(redis_url=url).redis_url == url


def test_secrets_are_not_printed() -> None:
    settings = load_settings(
        bootstrap_key="a-long-enough-key",
        secret="a-long-enough-pepper",
        database_url="postgresql://u:passw0rd@db/x",
        redis_url="redis://:passw0rd@cache",
    )
    assert not any(word in repr(settings) for word in ("long-enough", "passw0rd"))


def test_origins_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_ALLOWED_ORIGINS", "https://a.example, https://b.example")
    assert load_settings().allowed_origins == ("https://a.example", "https://b.example")


@pytest.mark.parametrize("origin", ["https://a.example/", "a.example", "https://A.example", "https://a.example/app"])
def test_what_no_browser_sends_as_an_origin_is_refused(origin: str) -> None:
    with pytest.raises(SettingsError, match="ALLOWED_ORIGINS") as caught:
        load_settings(allowed_origins=("http://localhost:3000", origin))
    assert origin not in str(caught.value)
    assert load_settings(allowed_origins=("*",)).allowed_origins == ("*",)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("localhost", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
    ],
)
def test_loopback(host: str, loopback: bool) -> None:
    assert load_settings(host=host).is_loopback is loopback
