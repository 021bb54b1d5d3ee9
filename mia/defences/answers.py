"""What output defences take and give."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from mia.checks import RequestError
from mia.registry import naming

Answers = tuple[Float[np.ndarray, "*R C"], bool]
"""Outputs, and whether these are probabilities."""
Defence = Callable[[Float[np.ndarray, "*R C"]], Answers]
"""A model's logits on any records -> what people get to see."""
Own = tuple[Float[np.ndarray, "m C"], Float[np.ndarray, "n C"]]
"""A model's logits on records it was trained on, and on records it was not."""
ROUND_OFF = 1e-3  # by which given probabilities may miss a sum of 1


def checked(who: str, make: Callable[[], Any]) -> Defence:
    """Return a defence of another package, what it does and gives checked.

    Args:
        who: What messages begin with.
        make: Its maker.

    Raises:
        RequestError: it makes no function. The defence raises it where its answers are no outputs.
        ExtensionError: it fails. So does the defence.
    """
    with naming(who):
        made = make()
    if not callable(made):
        raise RequestError(f"{who} gave {type(made).__name__}, not a function from logits to (outputs, is_probability)")

    def answer(logits: Float[np.ndarray, "*R C"]) -> Answers:
        seen = logits.view()
        seen.flags.writeable = False
        with naming(who):
            given = made(seen)
        if not (isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], bool | np.bool_)):
            raise RequestError(f"{who} answered with {type(given).__name__}, not with (outputs, is_probability)")
        outputs = np.asarray(given[0])
        if outputs.shape != logits.shape or outputs.dtype.kind != "f":
            raise RequestError(
                f"{who} answered with {outputs.dtype} of shape {outputs.shape}, not with floats of {logits.shape}"
            )
        if np.isnan(outputs).any():
            raise RequestError(f"{who} answered with values that are no numbers")
        if given[1] and ((outputs < 0).any() or (np.abs(outputs.sum(axis=-1) - 1) > ROUND_OFF).any()):
            raise RequestError(f"{who} answered with probabilities that are below 0 or do not sum to 1")
        return outputs, bool(given[1])

    return answer
