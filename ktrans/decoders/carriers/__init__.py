"""Carriers: what other tools put around the records of a log, taken off before a decoder reads them.

The chain (`chain.py`) recognises a carrier by the first bytes of an object, and takes messages out of it, each
with what the carrier says about it. `strands.py` gives the messages that belong together to a decoder, and
`decoder.py` fills the rows with what the carrier said. There is one file for each kind of carrier.
"""
