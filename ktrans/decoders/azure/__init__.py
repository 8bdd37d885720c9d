"""Decoding shared by the flow logs of Azure."""
