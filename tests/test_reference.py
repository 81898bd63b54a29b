"""The reference of the configuration: it is whole, and the page is what the code makes."""

from __future__ import annotations

import pytest

from genlib.choices.discovery import plugin_modules
from genlib.config.metrics import metrics
from genlib.config.reference import entry_of, page, rules_below, sections_below
from genlib.config.run import RunConfig
from genlib.data.sources import sources
from tests.conftest import PROJECT

ENTRIES = [entry_of(key, section) for key, section in sections_below(RunConfig)]


def test_the_page_is_what_the_code_makes() -> None:
    if plugin_modules():
        pytest.skip("plugins are installed, and the page is of genlib alone")
    assert (PROJECT / "docs" / "configuration.md").read_text() == page(), "make docs"


def test_every_key_has_its_values_its_default_and_its_meaning() -> None:
    for entry in ENTRIES:
        for key in entry.keys:
            assert key.meaning and key.default and key.limits, (entry.title, key)
            assert "Undefined" not in key.default and "its defaults" not in key.default, (entry.title, key)
    assert all(field.description for field in RunConfig.model_fields.values())
    assert all(metric.meaning for metric in metrics().values())
    assert all(source.description for source in sources().values())
    assert all(rule.meaning for rule in rules_below(RunConfig))
