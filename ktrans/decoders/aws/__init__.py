"""Decoding shared by the flow logs of AWS."""
