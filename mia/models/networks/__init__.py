"""Flax networks and what they are made of; loads JAX. Chosen by name through `mia.models`."""
