"""Membership-inference auditing: train a target and its shadows, attack the target, track every run."""

__version__ = "0.1.0"
