"""What makes a pool and what makes a run: the mappings whose fingerprints decide what can be used again.

Takes options and a data set; gives plain mappings. A pool's identity holds exactly what can change the weights: not the
number of shadows (they can be added), nor attacks, output defences or the machine.
"""

from dataclasses import asdict
from typing import Any

from mia.experiment.options import ExperimentOptions
from mia.records import Dataset
from mia.train.options import TrainOptions

TRAINING_VERSION = 1
"""Raised when the same options would give other weights, curves or logits than before."""
ANALYSIS_VERSION = 1
"""Raised when the same signals would give other scores or metrics than before."""


def pool_identity(options: ExperimentOptions, data: Dataset, train: TrainOptions) -> dict[str, Any]:
    """Return what makes the models trained with `train`, which may be the target's options or the shadows'."""
    return {
        "training_version": TRAINING_VERSION,
        "data": data.fingerprint,
        "split": {"protocol": options.split.protocol, "size": options.split.size},
        "model": asdict(options.model),
        "train": asdict(train),
        "seed": options.seed,
    }


def run_identity(options: ExperimentOptions, data: Dataset) -> dict[str, Any]:
    """Return all that can change the numbers of a run."""
    identity = asdict(options)
    for without_influence in ("engine", "data"):
        del identity[without_influence]
    identity["data"] = data.fingerprint
    return identity | {"training_version": TRAINING_VERSION, "analysis_version": ANALYSIS_VERSION}
