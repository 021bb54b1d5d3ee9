"""Label smoothing (Szegedy et al. 2016): a share of each label is spread evenly over all classes."""

from typing import Any

from mia.checks import fraction
from mia.train.defences import Number, Step, Strength, TrainDefence, train_defence


@train_defence("label_smoothing", options=Number(fraction))
class LabelSmoothing(TrainDefence):
    """`train.label_smoothing` is the share."""

    strength = Strength("label smoothing")
    rank = 40
    is_always_compiled = True

    def targets(self, step: Step, targets: Any) -> Any:
        """Return the smoothed distributions."""
        return targets * (1 - step.given) + step.given / targets.shape[-1]
