"""How the tests run: a property is tried on fewer examples than hypothesis would, so that all take seconds.

`--hypothesis-profile=thorough` tries more, before a release. The guests of the kernel matrix run the system tests
alone, and have no hypothesis.
"""

from importlib.util import find_spec

if find_spec("hypothesis"):
    from hypothesis import HealthCheck, settings

    CALM = [HealthCheck.too_slow]  # a busy machine is no fault of the test

    settings.register_profile("quick", max_examples=40, deadline=None, suppress_health_check=CALM)
    settings.register_profile("thorough", max_examples=2000, deadline=None, suppress_health_check=CALM)
    settings.load_profile("quick")
