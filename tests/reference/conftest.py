"""Settings of the reference tests: no time limit per example, the same examples on every run."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "reference", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("reference")
