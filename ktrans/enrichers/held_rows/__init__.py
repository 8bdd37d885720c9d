"""Base of the enrichers that need many rows at once, and the places that hold those rows."""
