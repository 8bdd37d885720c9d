"""The host's side of pluggy: which plugins there are, and the catalogue of their components."""
