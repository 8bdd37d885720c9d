"""Disturbs real runs at random and compares what they leave with an undisturbed run."""
