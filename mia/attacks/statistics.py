"""What one answer says about a record: the numbers that attacks compare. High = member, for each of them.

Takes outputs (logits, or probabilities) and the true labels; gives one float64 number per record. Knows nothing of
models, membership or thresholds. Sums run over the other classes rather than as 1 - p, so that a confident answer
keeps its digits. Given probabilities may be exactly 0 or 1, as rounding and votes make them: before a logarithm such a
one counts as `floor`, or 1 - `floor`, half the least that the answers can tell from 0.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

TINY = float(np.finfo(np.float64).tiny)

MOST_LOG = 700.0
"""Of minus a loss, which may be below zero: exp of more is infinite."""

Outputs = Float[np.ndarray, "N C"]
Labels = Int[np.ndarray, "N"]
PerRecord = Float[np.ndarray, "N"]
ByClass = Float[np.ndarray, "C N"]


def smallest_positive(outputs: Float[np.ndarray, "*R C"]) -> float:
    """Return the smallest probability above 0: the least step that the answers show; 1 where there is none."""
    return float(np.min(outputs, where=outputs > 0, initial=1.0))


def true_class(
    outputs: Outputs, labels: Labels, is_probability: bool, floor: float
) -> tuple[PerRecord, PerRecord, PerRecord]:
    """Return phi = log p_y - log(sum of the other p) (Carlini et al. 2022, section V), log p_y and p_y.

    Args:
        outputs: Logits, or probabilities.
        labels: True classes.
        is_probability: What the outputs are.
        floor: What counts for a given probability below it, and for a sum of such, before a logarithm.
    """
    by_class = outputs.T.astype(np.float64, order="C")
    flat, place = by_class.reshape(-1), labels * np.intp(len(labels)) + np.arange(len(labels))
    own = flat[place]
    if is_probability:
        flat[place] = 0
        log_own = np.log(np.maximum(own, floor))
        return log_own - np.log(np.maximum(by_class.sum(0), floor)), log_own, own
    if len(by_class) == 1:  # minus a loss, and no classes: there are no other answers to compare with
        return own, own, np.exp(np.minimum(own, MOST_LOG))
    flat[place] = -np.inf
    highest = by_class.max(0)
    by_class -= highest
    flat[place] = 0  # exp of minus infinity is exactly 0, and five times slower than that of a number
    np.exp(by_class, out=by_class)
    flat[place] = 0
    phi = own - highest - np.log(by_class.sum(0))
    log_own = -np.logaddexp(0, -phi)
    return phi, log_own, np.exp(log_own)


def log_confidence(outputs: Outputs, labels: Labels, is_probability: bool, floor: float) -> PerRecord:
    """Return log p_y: minus the cross-entropy loss (Yeom et al. 2018)."""
    return true_class(outputs, labels, is_probability, floor)[1]


def confidence(outputs: Outputs, labels: Labels, is_probability: bool, floor: float) -> PerRecord:
    """Return p_y."""
    return true_class(outputs, labels, is_probability, floor)[2]


def minus_entropy(outputs: Outputs, labels: Labels, is_probability: bool, floor: float) -> PerRecord:
    """Return the sum of p log p over the classes; the label plays no part."""
    del labels
    p, log_p = _probabilities(outputs, is_probability, floor)
    return _products(p, log_p).sum(0)


def minus_modified_entropy(outputs: Outputs, labels: Labels, is_probability: bool, floor: float) -> PerRecord:
    """Return (1 - p_y) log p_y + sum of p_i log(1 - p_i) over the other classes (Song & Mittal 2021, section 3.3)."""
    records = np.arange(len(labels))
    p, log_p = _probabilities(outputs, is_probability, floor)
    rest = 1 - p
    if is_probability:
        log_rest = np.log(np.maximum(rest, floor))
    else:
        top = log_p.argmax(0)
        highest = p[top, records]
        p[top, records] = 0
        rest[top, records] = p.sum(0)  # 1 - p would lose all digits where p is nearly 1
        p[top, records] = highest
        log_rest = np.log(np.maximum(rest, TINY))
    own = rest[labels, records] * log_p[labels, records]
    terms = _products(p, log_rest)
    terms[labels, records] = own
    return terms.sum(0)


def is_correct(outputs: Outputs, labels: Labels) -> Bool[np.ndarray, "N"]:
    """Return whether the first of the highest outputs is the true class."""
    return outputs.argmax(1) == labels


def _probabilities(outputs: Outputs, is_probability: bool, floor: float) -> tuple[ByClass, ByClass]:
    """Return p and log p."""
    by_class = outputs.T.astype(np.float64, order="C")
    if is_probability:
        return by_class, np.log(np.maximum(by_class, floor))
    top, records = by_class.argmax(0), np.arange(by_class.shape[1])
    by_class -= by_class[top, records]
    p = np.exp(by_class)
    p[top, records] = 0
    others = p.sum(0)
    p[top, records] = 1
    return p / (1 + others), by_class - np.log1p(others)


def _products(p: ByClass, logarithm: ByClass) -> ByClass:
    """Return p times a logarithm, 0 where p is 0."""
    return np.multiply(p, logarithm, out=np.zeros_like(p), where=p > 0)
