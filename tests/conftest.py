"""Profiles of the property tests: repeatable by default, wider with ``--hypothesis-profile=thorough``."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

_CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=50, suppress_health_check=_CHECKS)
settings.register_profile("thorough", deadline=None, max_examples=400, suppress_health_check=_CHECKS)
settings.load_profile("repeatable")
