"""Synthetic flow logs: a made-up network, traffic on it, and how each cloud's log writes it down.

A log is one entry in `ktrans.sources._synth.logs.LOGS`; each cloud has a module of its own.
"""
