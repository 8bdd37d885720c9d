"""Contract suites and fakes that a plugin author inherits."""
