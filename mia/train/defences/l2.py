"""L2: the squares of all parameters, kernels and biases, are added to the loss."""

from typing import Any

from mia.train.defences import Number, Step, Strength, TrainDefence, train_defence


@train_defence("l2", options=Number())
class L2(TrainDefence):
    """`train.l2` times the sum of squares of all parameters. No record is looked at."""

    strength = Strength("L2")
    rank = 10
    is_always_compiled = True

    def penalty(self, step: Step, loss: Any, parameters: Any) -> Any:
        """Return the loss and the penalty."""
        from mia.train.loss import sum_of_squares

        return loss + step.given * sum_of_squares(parameters)
