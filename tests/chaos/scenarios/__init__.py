"""One scenario a module: `run` plays it; the module's text says what it may change."""
