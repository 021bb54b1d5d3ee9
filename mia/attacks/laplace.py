"""A last layer's posterior in closed form: how far a record's phi could have come out otherwise.

Takes a last dense layer, what it takes of the training records, and of others; gives variances of phi. The posterior is
Laplace's, by the generalised Gauss-Newton matrix of the softmax cross-entropy in Kronecker factors (Ritter, Botev,
Barber 2018): n (B x A) + delta I, with A the mean outer product of the inputs, B that of the answers' covariances. The
prior's precision delta is where the evidence has its maximum (MacKay 1992). Nothing is drawn, no record is formed
against every other: a product per factor.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from mia.probabilities import softmax
from mia.records import LastLayer

ROUNDS = 100  # of MacKay's fixed point, which takes about ten
TINY = 1e-300
CHUNK = 4096
"""Records that are worked on at a time: they stay in the processor's cache."""


@dataclass(frozen=True)
class Posterior:
    """Eigenvectors and precisions of a last layer's posterior."""

    of_inputs: Float[np.ndarray, "D D"]  # the bias is the last input, 1
    of_classes: Float[np.ndarray, "C C"]
    precision: Float[np.ndarray, "C D"]  # by direction, that of the prior included
    prior: float  # delta

    def variance(self, layer: LastLayer, labels: Int[np.ndarray, "B"]) -> Float[np.ndarray, "B"]:
        """Return the variance of each record's phi, to first order in the layer's parameters."""
        found, by_direction = np.empty(len(labels)), 1 / self.precision
        for start in range(0, len(labels), CHUNK):
            part = slice(start, start + CHUNK)
            inputs, answers = _forward(replace(layer, inputs=layer.inputs[part]))
            along_inputs = np.square(inputs @ self.of_inputs)
            along_classes = np.square(slope_of_phi(answers, labels[part]) @ self.of_classes)
            found[part] = np.multiply(along_classes @ by_direction, along_inputs, out=along_inputs).sum(axis=1)
        return found


def fit_posterior(layer: LastLayer) -> Posterior:
    """Return the posterior of a layer that was trained on the records whose inputs it holds."""
    inputs, answers = _forward(layer)
    count = max(len(inputs), 1)
    covariance = (np.diag(answers.sum(axis=0)) - answers.T @ answers) / count
    by_input, of_inputs = np.linalg.eigh(inputs.T @ inputs / count)
    by_class, of_classes = np.linalg.eigh(covariance)
    curvature = count * np.outer(np.maximum(by_class, 0), np.maximum(by_input, 0))
    size = float(np.square(_centred(layer.kernel)).sum() + np.square(_centred(layer.bias)).sum())
    prior = _evidence_prior(curvature, max(size, TINY))
    return Posterior(of_inputs, of_classes, curvature + prior, prior)


def slope_of_phi(answers: Float[np.ndarray, "B C"], labels: Int[np.ndarray, "B"]) -> Float[np.ndarray, "B C"]:
    """Return the derivative of phi = log p_y - log(sum of the other p) by the logits: 1, and -p / (sum of the other p).

    Takes p as `softmax` gives it.
    """
    records = np.arange(len(labels))
    others = answers.copy()
    others[records, labels] = 0
    slope = -others / np.maximum(others.sum(axis=1, keepdims=True), TINY)
    slope[records, labels] = 1
    return slope


def _centred(parameters: Float[np.ndarray, "*D C"]) -> Float[np.ndarray, "*D C"]:
    """Return parameters without what adds the same to all logits, which no answer can show."""
    wide = parameters.astype(np.float64)
    return wide - wide.mean(axis=-1, keepdims=True)


def _evidence_prior(curvature: Float[np.ndarray, "C D"], size: float) -> float:
    """Return delta = effective parameters / sum of squares, at its fixed point."""
    prior = 1.0
    for _ in range(ROUNDS):
        before, prior = prior, max(float((curvature / (curvature + prior)).sum()) / size, TINY)
        if abs(prior - before) <= 1e-10 * prior:
            break
    return prior


def _forward(layer: LastLayer) -> tuple[Float[np.ndarray, "B D"], Float[np.ndarray, "B C"]]:
    """Return the inputs with a 1 for the bias, and p."""
    inputs = np.concatenate([layer.inputs, np.ones((len(layer.inputs), 1))], axis=1, dtype=np.float64)
    kernel = np.concatenate([layer.kernel, layer.bias[None]], dtype=np.float64)
    return inputs, softmax(inputs @ kernel)
