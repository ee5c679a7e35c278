"""The README tells the truth about what can be set and called."""

import re
from pathlib import Path

import pytest

from gateway.settings import PREFIX, Settings

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_listed_as_it_is(name: str) -> None:
    field = Settings.model_fields[name]
    variable = str(field.validation_alias or PREFIX + name.upper())
    (row,) = re.findall(rf"^\| `{variable}` \| (?:`(.*)`)? ?\| (.*) \|$", README, re.MULTILINE)
    default = field.get_default(call_default_factory=False)
    assert row[1] == field.description
    assert row[0] == ("" if field.is_required() or field.default_factory or default in (None, ()) else str(default))


def test_no_setting_is_listed_that_is_none() -> None:
    listed = set(re.findall(r"^\| `([A-Z_]+)` \|", README, re.MULTILINE))
    assert listed == {str(f.validation_alias or PREFIX + name.upper()) for name, f in Settings.model_fields.items()}


def test_its_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (Path(__file__).parent.parent / link).exists(), link
