"""Where flow columns go in OCSF, the Elastic Common Schema and OpenTelemetry."""
