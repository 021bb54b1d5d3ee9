"""Who trained on what, in the designs that simulations of attacks are made in."""

import numpy as np


def membership(design, models, records, generator):
    """Return who trained on what: `pairs` of complements behind model 0, `balanced` (half of all models), `coins`."""
    if design == "coins":
        return generator.random((models, records)) < 0.5
    if design == "balanced":
        return generator.random((models, records)).argsort(0).argsort(0) < models // 2
    rows = [generator.permutation(records) < records // 2]
    while len(rows) < models:
        half = generator.permutation(records) < records // 2
        rows += [half, ~half]
    return np.array(rows[:models])
