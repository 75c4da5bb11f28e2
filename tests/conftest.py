"""Profiles of the property tests (``--hypothesis-profile=thorough`` is wider), and what several files need."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from balance_graph.points.nested_sets_point import NestedSetsPoint

_CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=50, suppress_health_check=_CHECKS)
settings.register_profile("thorough", deadline=None, max_examples=400, suppress_health_check=_CHECKS)
settings.load_profile("repeatable")


@pytest.fixture
def without_sets(monkeypatch):
    """As where sets are not known: the methods behind them have to do."""
    monkeypatch.setattr(NestedSetsPoint, "suits", staticmethod(lambda _: False))
