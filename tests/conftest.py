"""How the tests run: a property is tried on fewer examples than hypothesis would, so that all take seconds.

`--hypothesis-profile=thorough` tries more, before a release.
"""

from hypothesis import HealthCheck, settings

CALM = [HealthCheck.too_slow]  # a busy machine is no fault of the test

settings.register_profile("quick", max_examples=60, deadline=None, suppress_health_check=CALM)
settings.register_profile("thorough", max_examples=2000, deadline=None, suppress_health_check=CALM)
settings.load_profile("quick")
