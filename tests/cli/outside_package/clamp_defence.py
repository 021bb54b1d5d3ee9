"""An output defence of another package: no logit lies further than `range` below the largest."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mia.defences import Strength, defence


@dataclass
class ClampOptions:
    """Logits clamped from below."""

    range: float = 4.0
    strength: ClassVar[Strength] = Strength("clamp", "range", neutral=float("inf"), is_lower_stronger=True)


@defence("clamp", options=ClampOptions)
def make_clamp(options: ClampOptions, seed: int, fit_on):
    def clamp(logits):
        return np.maximum(logits, logits.max(axis=-1, keepdims=True) - options.range), False

    return clamp
