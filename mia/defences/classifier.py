"""The membership classifier a defender trains against: takes confidence vectors of members and non-members.

One hidden layer on the sorted probabilities, so that no class is treated differently. Small enough for plain NumPy,
which lets a defence follow its gradient to the confidence vector.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize
from scipy.special import expit

NUM_HIDDEN = 32
WEIGHT_DECAY = 1e-2  # strong: a classifier that knows its own records by heart misleads the defence
MOST_RECORDS = 2_500  # per side, drawn at random where there are more
MOST_STEPS = 100


@dataclass(frozen=True)
class MembershipClassifier:
    """h(p) = v . tanh(p W + b) + c, the log odds that a vector of falling probabilities is a member's."""

    hidden_weights: Float[np.ndarray, "C H"]
    hidden_bias: Float[np.ndarray, "H"]
    weights: Float[np.ndarray, "H"]
    bias: Float[np.ndarray, ""]

    def log_odds(self, falling: Float[np.ndarray, "R C"]) -> Float[np.ndarray, "R"]:
        """Return h for every record."""
        return np.tanh(falling @ self.hidden_weights + self.hidden_bias) @ self.weights + self.bias

    def log_odds_and_gradient(
        self, falling: Float[np.ndarray, "R C"]
    ) -> tuple[Float[np.ndarray, "R"], Float[np.ndarray, "R C"]]:
        """Return h and its gradient by the probabilities."""
        activity = np.tanh(falling @ self.hidden_weights + self.hidden_bias)
        gradient = ((1 - activity**2) * self.weights) @ self.hidden_weights.T
        return activity @ self.weights + self.bias, gradient


def fit_classifier(
    members: Float[np.ndarray, "m C"], nonmembers: Float[np.ndarray, "n C"], seed: int
) -> MembershipClassifier:
    """Return a classifier of vectors of falling probabilities, both sides weighing the same.

    Logistic loss with weight decay on standardised features, minimised by L-BFGS from random weights.
    """
    generator = np.random.default_rng(seed)
    sides = [side[generator.permutation(len(side))[:MOST_RECORDS]].astype(np.float64) for side in (members, nonmembers)]
    x, is_member = np.concatenate(sides), np.arange(sum(map(len, sides))) < len(sides[0])
    weight = np.where(is_member, 0.5 / len(sides[0]), 0.5 / len(sides[1]))
    mean, deviation = x.mean(axis=0), x.std(axis=0) + 1e-6
    x = (x - mean) / deviation
    shapes = ((x.shape[1], NUM_HIDDEN), (NUM_HIDDEN,), (NUM_HIDDEN,), ())
    start = np.concatenate(
        [(generator.normal(size=shape) / np.sqrt(max(shape, default=1))).ravel() for shape in shapes]
    )

    def loss_and_gradient(flat: np.ndarray) -> tuple[float, np.ndarray]:
        first, first_bias, second, bias = _unpacked(flat, shapes)
        activity = np.tanh(x @ first + first_bias)
        odds = activity @ second + bias
        loss = np.dot(weight, np.logaddexp(0, odds) - is_member * odds) + WEIGHT_DECAY / 2 * np.dot(flat, flat)
        by_odds = weight * (expit(odds) - is_member)
        by_sum = by_odds[:, None] * second * (1 - activity**2)
        parts = (x.T @ by_sum, by_sum.sum(axis=0), activity.T @ by_odds, by_odds.sum())
        return float(loss), np.concatenate([np.ravel(part) for part in parts]) + WEIGHT_DECAY * flat

    found = minimize(loss_and_gradient, start, jac=True, method="L-BFGS-B", options={"maxiter": MOST_STEPS})
    first, first_bias, second, bias = _unpacked(found.x, shapes)
    first = first / deviation[:, None]
    parts = (first, first_bias - mean @ first, second, bias)
    return MembershipClassifier(*(np.asarray(part, dtype=members.dtype) for part in parts))


def _unpacked(flat: np.ndarray, shapes: tuple[tuple[int, ...], ...]) -> list[np.ndarray]:
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    return [part.reshape(shape) for part, shape in zip(np.split(flat, ends[:-1]), shapes, strict=True)]
