"""The HTTP server of the `http` source: connections, protocols, and the spool that they fill."""
