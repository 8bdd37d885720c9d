"""Rules about flows that several enrichers share: paths, reports, addresses."""
