"""The flow schema, and what is known about flows of any cloud."""
