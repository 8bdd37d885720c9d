"""From YAML to a validated pipeline, with line numbers."""
