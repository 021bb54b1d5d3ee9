"""MemGuard (Jia et al. 2019): takes logits, gives probabilities with noise that misleads a membership classifier.

Phase one crafts, per record, noise that leaves the defender's own classifier undecided and keeps the predicted class.
Phase two adds it with the probability that spends the budget of distortion. Two steps differ from the paper, to the
same end: the class is kept by working on sorted vectors instead of by a penalty, and the distortion is lowered by
taking the smallest sufficient share of the noise instead of by a search over the weight of its penalty.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from mia.checks import non_negative
from mia.defences import DefenceOptions, Strength, defence
from mia.defences.answer_noise import record_uniforms
from mia.defences.answers import Answers, Defence, Own
from mia.probabilities import softmax

MOST_STEPS = 300  # of gradient descent, as in the paper
STEP = 0.1  # length of each step, in logits
DISTORTION_WEIGHT = 0.1  # of the sum of absolute changes beside |h|: the paper's first value
HALVINGS = 18  # of the share of the noise that is needed
CHUNK = 4096  # records worked on at a time
NUM_HIDDEN = 32  # units of the defender's classifier
WEIGHT_DECAY = 1e-2  # of it; strong: a classifier that knows its own records by heart misleads the defence
MOST_RECORDS = 2_500  # per side that it is fitted on, drawn at random where there are more
MOST_FIT_STEPS = 100


@dataclass
class MemguardOptions(DefenceOptions):
    """Noise that misleads a membership classifier and keeps the predicted class (MemGuard, Jia et al. 2019)."""

    strength: ClassVar[Strength] = Strength("MemGuard", "epsilon", symbol="budget")
    name: str = "memguard"
    epsilon: float = 1.0  # budget: the expected sum of absolute changes to a record's probabilities; 0: no noise

    def __post_init__(self) -> None:
        """Check the number."""
        non_negative("defence.epsilon", self.epsilon)


@defence("memguard", options=MemguardOptions, needs_fit=True)
def make_memguard(options: MemguardOptions, seed: int, fit_on: Own) -> Defence:
    """Return the defence, fitted."""
    return fit_memguard(*fit_on, budget=options.epsilon, seed=seed)


@dataclass(frozen=True)
class MembershipClassifier:
    """h(p) = v . tanh(p W + b) + c, the log odds that a vector of falling probabilities is a member's.

    One hidden layer on the sorted probabilities, so that no class is treated differently. Small enough for plain NumPy,
    which lets the defence follow its gradient to the confidence vector.
    """

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


def fit_memguard(
    member_logits: Float[np.ndarray, "m C"], nonmember_logits: Float[np.ndarray, "n C"], *, budget: float, seed: int
) -> "Memguard":
    """Return the defence of one model.

    Args:
        member_logits: the model's own logits on records it was trained on.
        nonmember_logits: and on records that it was not.
        budget: the expected sum of absolute changes to a record's probabilities.
        seed: of the classifier and of the coin that decides whether a record gets its noise.
    """
    assert len(member_logits), "MemGuard needs members"
    assert len(nonmember_logits), "MemGuard needs non-members"
    members, nonmembers = (-np.sort(-softmax(logits), axis=-1) for logits in (member_logits, nonmember_logits))
    classifier = fit_classifier(members, nonmembers, seed)
    everyone = np.concatenate([members, nonmembers])
    odds = classifier.log_odds(everyone)
    extremes = everyone[[odds.argmin(), odds.argmax()]]
    return Memguard(classifier, extremes, budget, seed)


@dataclass(frozen=True)
class Memguard:
    """A fitted defence: a function from logits to probabilities."""

    classifier: MembershipClassifier
    extremes: Float[np.ndarray, "2 C"]  # the vectors it finds least and most like a member's
    budget: float
    seed: int

    def __call__(self, logits: Float[np.ndarray, "*R C"]) -> Answers:
        """Return probabilities, with or without noise, and True."""
        rows = logits.reshape(-1, logits.shape[-1])
        answers = np.empty_like(rows)
        for start in range(0, len(rows), CHUNK):
            answers[start : start + CHUNK] = self._answer(rows[start : start + CHUNK])
        return answers.reshape(logits.shape), True

    def _answer(self, logits: Float[np.ndarray, "R C"]) -> Float[np.ndarray, "R C"]:
        order = np.argsort(-logits, axis=-1, kind="stable")
        plain = softmax(np.take_along_axis(logits, order, axis=-1))
        noisy = craft(self.classifier, self.extremes, np.take_along_axis(logits, order, axis=-1))
        distortion = np.abs(noisy - plain).sum(axis=-1)
        # A tie at the top could change the predicted class, and noise that misleads nobody is not worth its distortion.
        is_better = np.abs(self.classifier.log_odds(noisy)) < np.abs(self.classifier.log_odds(plain))
        coin = record_uniforms(logits, self.seed, 1)[:, 0]
        is_noisy = is_better & (noisy[:, 0] > noisy[:, 1]) & (coin * distortion < self.budget)
        answers = np.empty_like(plain)
        np.put_along_axis(answers, order, np.where(is_noisy[:, None], noisy, plain), axis=-1)
        return answers


def craft(
    classifier: MembershipClassifier, extremes: Float[np.ndarray, "2 C"], falling: Float[np.ndarray, "R C"]
) -> Float[np.ndarray, "R C"]:
    """Return falling probabilities near those of falling logits which the classifier cannot decide on.

    Normalised gradient descent on |h| plus weighted distortion, until h changes its sign; of that noise, the smallest
    share which still does so. Sorting the vector after each step keeps the predicted class in front, and never makes
    the distortion larger. Where descent ends in a valley of one sign, the noise leads to the extreme of the other.
    """
    plain = softmax(falling)
    sign = np.where(classifier.log_odds(plain) >= 0, 1, -1).astype(plain.dtype)
    crossed = np.where(sign[:, None] > 0, extremes[0], extremes[1])
    logits, active = falling, np.arange(len(falling))
    for _ in range(MOST_STEPS):
        probabilities = softmax(logits)
        odds, gradient = classifier.log_odds_and_gradient(probabilities)
        has_crossed = odds * sign[active] <= 0
        crossed[active[has_crossed]] = probabilities[has_crossed]
        left = ~has_crossed
        active, logits, probabilities, gradient = active[left], logits[left], probabilities[left], gradient[left]
        if not len(active):
            break
        slope = sign[active, None] * gradient + DISTORTION_WEIGHT * np.sign(probabilities - plain[active])
        direction = probabilities * (slope - (probabilities * slope).sum(axis=-1, keepdims=True))
        length = np.linalg.norm(direction, axis=-1, keepdims=True)
        logits = -np.sort(STEP * direction / np.maximum(length, 1e-30) - logits, axis=-1)
    return _smallest_share(classifier, plain, crossed, sign)


def _smallest_share(
    classifier: MembershipClassifier, plain: np.ndarray, crossed: np.ndarray, sign: np.ndarray
) -> np.ndarray:
    """Bisect between the plain vector and the one whose sign is the other."""
    low, high = np.zeros((2, len(plain), 1), plain.dtype)
    high += 1
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        is_enough = (classifier.log_odds(plain + middle * (crossed - plain)) * sign <= 0)[:, None]
        low, high = np.where(is_enough, low, middle), np.where(is_enough, middle, high)
    return plain + high * (crossed - plain)


def fit_classifier(
    members: Float[np.ndarray, "m C"], nonmembers: Float[np.ndarray, "n C"], seed: int
) -> MembershipClassifier:
    """Return a classifier of vectors of falling probabilities, both sides weighing the same.

    Logistic loss with weight decay on standardised features, minimised by L-BFGS from random weights.
    """
    from scipy.optimize import minimize
    from scipy.special import expit

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

    found = minimize(loss_and_gradient, start, jac=True, method="L-BFGS-B", options={"maxiter": MOST_FIT_STEPS})
    first, first_bias, second, bias = _unpacked(found.x, shapes)
    first = first / deviation[:, None]
    parts = (first, first_bias - mean @ first, second, bias)
    return MembershipClassifier(*(np.asarray(part, dtype=members.dtype) for part in parts))


def _unpacked(flat: np.ndarray, shapes: tuple[tuple[int, ...], ...]) -> list[np.ndarray]:
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    return [part.reshape(shape) for part, shape in zip(np.split(flat, ends[:-1]), shapes, strict=True)]
