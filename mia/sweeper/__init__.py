"""Sweeps: files that ask for many configurations, read as the data they are."""
