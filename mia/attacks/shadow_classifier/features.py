"""What a classifier sees of a model's answers: probabilities, the largest few, or logits.

Takes outputs of any number of records; gives one row of float64 features each. Rows never influence one another.
"""

import numpy as np
from jaxtyping import Float, Int
from scipy.special import softmax

from mia.attacks.options import ShadowClassifierOptions
from mia.checks import RequestError

SMALLEST = 1e-12
"""What a probability of zero, which output defences make, counts as where its logarithm is wanted."""


def check_features(name: str, options: ShadowClassifierOptions, num_classes: int) -> None:
    """Check that the features exist.

    Raises:
        RequestError: more of the largest probabilities are wanted than there are classes.
    """
    if options.features == "top_k" and options.top_k > num_classes:
        raise RequestError(f"attack.{name}.top_k={options.top_k} must be at most {num_classes}, the number of classes")


def make_features(
    outputs: Float[np.ndarray, "R C"],
    labels: Int[np.ndarray, "R"],
    options: ShadowClassifierOptions,
    *,
    is_probability: bool,
    is_pooled: bool,
) -> Float[np.ndarray, "R F"]:
    """Return the features of R answers.

    Args:
        outputs: Logits, or probabilities.
        labels: True classes.
        options: Which features.
        is_probability: What the outputs are.
        is_pooled: Whether the classifier serves all classes: the true class's value then comes first, since such a
            classifier cannot know the class from anything else.
    """
    values = np.asarray(outputs, np.float64)
    if options.features == "logits":
        values = np.log(np.maximum(values, SMALLEST)) if is_probability else values
    elif not is_probability:
        values = softmax(values, axis=1)
    of_true_class = np.take_along_axis(values, labels[:, None].astype(np.intp), axis=1)
    if options.features == "top_k":
        values = -np.sort(-values, axis=1)[:, : options.top_k]
    return np.ascontiguousarray(np.hstack([of_true_class, values]) if is_pooled else values)
