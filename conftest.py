"""Makes the fixtures of real servers known to all tests, those of the plugins included."""

pytest_plugins = ["ktrans.testing.services.fixtures"]
