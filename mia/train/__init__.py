"""Training: one pure function for target and shadows, and `train_many` over the model axis.

Import `mia.train.options` for the choices; `devices`, `many` and `predict` load JAX. Knows nothing of attacks or files.
"""
