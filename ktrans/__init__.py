"""ktrans: the flow logs of any cloud, translated into what any store takes."""

__version__ = "0.1.0"
