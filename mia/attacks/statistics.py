"""What one answer says about a record: the numbers that attacks compare. High = member, for each of them.

Takes outputs (logits, or probabilities) and the true labels; gives one float64 number per record. Knows nothing of
models, membership or thresholds. Sums run over the other classes rather than as 1 - p, so that a confident answer
keeps its digits.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

FLOOR = 1e-45
"""Added to given probabilities before a logarithm; they may be exactly 0."""

MOST_LOG = 700.0
"""Of minus a loss, which may be below zero: exp of more is infinite."""

Outputs = Float[np.ndarray, "N C"]
Labels = Int[np.ndarray, "N"]
PerRecord = Float[np.ndarray, "N"]
ByClass = Float[np.ndarray, "C N"]


def true_class(outputs: Outputs, labels: Labels, is_probability: bool) -> tuple[PerRecord, PerRecord, PerRecord]:
    """Return phi = log p_y - log(sum of the other p) (Carlini et al. 2022, section V), log p_y and p_y."""
    by_class = outputs.T.astype(np.float64, order="C")
    records = np.arange(len(labels))
    own = by_class[labels, records]
    if is_probability:
        by_class[labels, records] = 0
        log_own = np.log(own + FLOOR)
        return log_own - np.log(by_class.sum(0) + FLOOR), log_own, own
    if len(by_class) == 1:  # minus a loss, and no classes: there are no other answers to compare with
        return own, own, np.exp(np.minimum(own, MOST_LOG))
    by_class[labels, records] = -np.inf
    highest = by_class.max(0)
    by_class -= highest
    np.exp(by_class, out=by_class)
    phi = own - highest - np.log(by_class.sum(0))
    log_own = -np.logaddexp(0, -phi)
    return phi, log_own, np.exp(log_own)


def log_confidence(outputs: Outputs, labels: Labels, is_probability: bool) -> PerRecord:
    """Return log p_y: minus the cross-entropy loss (Yeom et al. 2018)."""
    return true_class(outputs, labels, is_probability)[1]


def confidence(outputs: Outputs, labels: Labels, is_probability: bool) -> PerRecord:
    """Return p_y."""
    return true_class(outputs, labels, is_probability)[2]


def minus_entropy(outputs: Outputs, labels: Labels, is_probability: bool) -> PerRecord:
    """Return the sum of p log p over the classes; the label plays no part."""
    del labels
    p, log_p = _probabilities(outputs, is_probability)
    return _products(p, log_p).sum(0)


def minus_modified_entropy(outputs: Outputs, labels: Labels, is_probability: bool) -> PerRecord:
    """Return (1 - p_y) log p_y + sum of p_i log(1 - p_i) over the other classes (Song & Mittal 2021, section 3.3)."""
    records = np.arange(len(labels))
    p, log_p = _probabilities(outputs, is_probability)
    rest = 1 - p
    if is_probability:
        log_rest = np.log(np.maximum(rest, 0) + FLOOR)
    else:
        top = log_p.argmax(0)
        highest = p[top, records]
        p[top, records] = 0
        rest[top, records] = p.sum(0)  # 1 - p would lose all digits where p is nearly 1
        p[top, records] = highest
        log_rest = np.log(np.maximum(rest, np.finfo(float).tiny))
    own = rest[labels, records] * log_p[labels, records]
    terms = _products(p, log_rest)
    terms[labels, records] = own
    return terms.sum(0)


def is_correct(outputs: Outputs, labels: Labels) -> Bool[np.ndarray, "N"]:
    """Return whether the first of the highest outputs is the true class."""
    return outputs.argmax(1) == labels


def _probabilities(outputs: Outputs, is_probability: bool) -> tuple[ByClass, ByClass]:
    """Return p and log p."""
    by_class = outputs.T.astype(np.float64, order="C")
    if is_probability:
        return by_class, np.log(by_class + FLOOR)
    by_class -= by_class.max(0)
    p = np.exp(by_class)
    total = p.sum(0)
    return p / total, by_class - np.log(total)


def _products(p: ByClass, logarithm: ByClass) -> ByClass:
    """Return p times a logarithm, 0 where p is 0."""
    return np.multiply(p, logarithm, out=np.zeros_like(p), where=p > 0)
