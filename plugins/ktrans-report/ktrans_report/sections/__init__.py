"""The parts of the page, one a module: each asks the lake and says what came out."""
