"""Somebody's own training in place of ours: our splits, store, attacks and judge around a PyTorch or Flax loop.

Takes a function that trains one model on chosen records; gives logits on all records. Knows nothing of frameworks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from mia.checks import RequestError
from mia.experiment.options import ExperimentOptions
from mia.predictions.tidy import tidy_outputs
from mia.records import Dataset

CHUNK = 4096  # records that a model is asked about at once

Train = Callable[[Int[np.ndarray, "n"], int], Callable[[Any], Any]]
"""From the training records' positions and a seed to a function from records to logits [B C]."""


@dataclass(frozen=True)
class OwnTraining:
    """A training of somebody's own, and the name that the store knows it by."""

    name: str
    train: Train

    def check(self, options: ExperimentOptions) -> None:
        """Refuse options that need our own models.

        Raises:
            RequestError: shadow data that are made by asking the target again.
        """
        if options.split.mislabel:
            raise RequestError(
                "split.mislabel=true needs our own training: with train=, mislabel the canaries yourself"
            )
        if options.shadow_data.name != "real":
            raise RequestError(f"shadow_data={options.shadow_data.name} needs our own models: with train=, real alone")

    def logits(self, data: Dataset, members: Int[np.ndarray, "n"], seed: int) -> Float[np.ndarray, "N C"]:
        """Train a model and return what it says about every record of the data set.

        Raises:
            RequestError: it gives something other than logits.
        """
        answer = self.train(members, seed)
        if not callable(answer):
            raise RequestError(f"train= returned {type(answer).__name__}, not a function from records to logits [B C]")
        parts = []
        for first in range(0, len(data.x), CHUNK):
            x = data.x[first : first + CHUNK]
            one = tidy_outputs("the logits of train='s model", answer(x), "logits", 2, [])
            if one.shape != (len(x), data.num_classes):
                raise RequestError(f"train='s model gave logits of shape {one.shape}, not {(len(x), data.num_classes)}")
            parts.append(one.astype(np.float32))
        return np.concatenate(parts)
