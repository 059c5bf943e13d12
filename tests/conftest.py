"""What every test may ask for."""

from hypothesis import settings

# How long an example takes says how busy the machine is, and nothing about us.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

pytest_plugins = [
    "tests.fixtures.database",
    "tests.fixtures.daemon",
    "tests.fixtures.core",
    "tests.fixtures.redis",
    "tests.fixtures.order",
]
