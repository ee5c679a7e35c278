"""GraphiQL comes whole from the gateway: unchanged vendored files, and nothing that points elsewhere."""

import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from graphql import build_schema, parse, validate
from starlette.applications import Starlette
from starlette.testclient import TestClient

from gateway.pages import DASHBOARD, content_security_policy, page_routes
from schema import schema

VENDOR = DASHBOARD / "vendor"
OURS = sorted(
    path
    for path in DASHBOARD.rglob("*")
    if path.suffix in {".html", ".js", ".css", ".svg", ".graphql"} and VENDOR not in path.parents
)


class _References(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline: list[str] = []
        self._script = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._script = tag == "script" and "src" not in given
        self.addresses += [value for name, value in attrs if name in {"src", "href"} and value]
        self.inline += [name for name in given if name.startswith("on") or name == "style"]

    def handle_data(self, data: str) -> None:
        if self._script:
            self.inline.append(data)


@pytest.fixture
def client() -> TestClient:
    return TestClient(Starlette(routes=page_routes()), base_url="http://gateway.example:8000", follow_redirects=False)


def test_vendored_files_are_as_published() -> None:
    table = dict(re.findall(r"^\| (\S+) \|.*\| MIT \| ([0-9a-f]{64}) \|$", (VENDOR / "LICENSES.md").read_text(), re.M))
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in VENDOR.iterdir()}
    del found["LICENSES.md"]
    assert found == table


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_our_files_name_no_other_place(path: Path) -> None:
    text = path.read_text().replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert re.findall(r"(?:https?:)?//[\w.-]+\.\w+|@import|url\(", text) == []


def test_the_page_loads_only_what_is_here_and_runs_nothing_inline(client: TestClient) -> None:
    page = client.get("/graphiql")
    references = _References(page.text)
    assert references.inline == []
    assert len(references.addresses) > 5
    for address in references.addresses:
        assert address.startswith("/assets/")
        assert client.get(address).status_code == 200


@pytest.mark.parametrize("path", sorted((DASHBOARD / "examples").iterdir()), ids=lambda path: path.stem)
def test_examples_are_valid(path: Path) -> None:
    assert validate(build_schema(schema.as_str()), parse(path.read_text())) == []


def test_every_example_is_offered() -> None:
    offered = re.search(r"EXAMPLES = \[(.*?)\]", (DASHBOARD / "graphiql.js").read_text(), re.S)
    assert offered is not None
    assert set(re.findall(r'"([\w-]+)"', offered[1])) == {path.stem for path in (DASHBOARD / "examples").iterdir()}


@pytest.mark.parametrize("path", ["/graphiql", "/assets/graphiql.js", "/assets/vendor/graphiql.min.js", "/favicon.ico"])
def test_pages_keep_to_themselves(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 200
    policy = response.headers["content-security-policy"]
    assert "default-src 'self'; script-src 'self';" in policy
    assert "connect-src 'self' ws://gateway.example:8000 wss://gateway.example:8000;" in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["x-frame-options"] == "DENY"


def test_an_odd_host_does_not_reach_the_policy() -> None:
    assert "connect-src 'self';" in content_security_policy("x; script-src *")


def test_home_leads_to_graphiql(client: TestClient) -> None:
    response = client.get("/")
    assert (response.status_code, response.headers["location"]) == (307, "/graphiql")


@pytest.mark.parametrize(
    "path", ["/assets/../pages.py", "/assets/%2e%2e/pages.py", "/assets/vendor", "/assets/none.js"]
)
def test_nothing_else_is_served(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404
