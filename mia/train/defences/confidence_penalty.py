"""The confidence penalty (Pereyra et al. 2017): the loss loses a share of the answer's entropy."""

from typing import Any

from mia.train.defences import Number, Step, Strength, TrainDefence, train_defence


@train_defence("confidence_penalty", options=Number())
class ConfidencePenalty(TrainDefence):
    """`train.confidence_penalty` is beta, the weight of the entropy."""

    strength = Strength("confidence penalty")
    rank = 50

    def record_losses(self, step: Step, losses: Any, logits: Any) -> Any:
        """Return each record's loss without its share of the entropy, in nats."""
        from mia.train.loss import entropy

        return losses - step.given * entropy(logits)
