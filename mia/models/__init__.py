"""Flax models by name, and the layers that are fast inside compiled loops. Knows nothing of training or of attacks.

Import `mia.models.options` for the choices and `mia.models.build` (which loads JAX) for the networks.
"""
