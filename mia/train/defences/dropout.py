"""Dropout (Srivastava et al. 2014) of the inputs of a model's last dense layers."""

from functools import partial
from typing import Any

from mia.checks import fraction
from mia.train.defences import Number, Step, Strength, TrainDefence, train_defence


@train_defence("dropout", options=Number(partial(fraction, below_one=True)))
class Dropout(TrainDefence):
    """`train.dropout` is the share that is left out; models say where."""

    strength = Strength("dropout")
    rank = 30

    def dropout(self, step: Step, rate: Any) -> Any:
        """Return the share."""
        return step.given
