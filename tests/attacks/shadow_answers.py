"""Answers of overfitted models, for tests of the shadow classifiers: confident on members, often wrong on others."""

import numpy as np

from mia.attacks.shadow_classifier import (
    ShadowBoostingOptions,
    ShadowForestOptions,
    ShadowLogisticOptions,
    ShadowMlpOptions,
    ShadowSvmOptions,
)
from mia.records import Signals

EVERY = {
    "shadow_svm": ShadowSvmOptions,
    "shadow_mlp": ShadowMlpOptions,
    "shadow_forest": ShadowForestOptions,
    "shadow_logistic": ShadowLogisticOptions,
    "shadow_boosting": ShadowBoostingOptions,
}


def answers(labels, membership, num_classes, generator, effect=1.0):
    """Return logits [records, classes]: members right and sure, non-members right in 6 of 10 and less sure."""
    records = np.arange(len(labels))
    is_member = membership == 1
    logits = generator.normal(0, 1.5, (len(labels), num_classes))
    is_wrong = (generator.random(len(labels)) < 0.4 * effect) & ~is_member
    said = np.where(is_wrong, generator.integers(0, num_classes, len(labels)), labels)
    sureness = generator.gamma(4, 1, len(labels)) + 3 * effect * is_member
    logits[records, said] += sureness
    return logits.astype(np.float32)


def overfitted(*, seed=0, shadows=6, records=400, classes=2, effect=1.0, own_share=1.0) -> tuple[Signals, np.ndarray]:
    """Return signals and the target's membership; every shadow trained on a random half of the records."""
    generator = np.random.default_rng(seed)
    labels = (np.arange(records) % classes).astype(np.int32)
    member = np.array([generator.permutation(records) < records // 2 for _ in range(shadows + 1)]).astype(np.int8)
    outputs = np.stack([answers(labels, row, classes, generator, effect) for row in member])
    signals = Signals(
        labels=labels,
        is_candidate=np.ones(records, bool),
        target_outputs=outputs[0],
        shadow_outputs=outputs[1:],
        shadow_membership=member[1:],
        shadow_own=generator.random((shadows, records)) < own_share,
    )
    return signals, member[0].astype(bool)


def shuffled(signals: Signals, seed=1) -> tuple[Signals, np.ndarray]:
    """Return the same signals with records and shadows in another order, and the order of the records."""
    generator = np.random.default_rng(seed)
    records, shadows = generator.permutation(len(signals.labels)), generator.permutation(signals.num_shadows)
    moved = Signals(
        labels=signals.labels[records],
        is_candidate=signals.is_candidate[records],
        target_outputs=signals.target_outputs[records],
        shadow_outputs=signals.shadow_outputs[shadows][:, records],
        shadow_membership=signals.shadow_membership[shadows][:, records],
        shadow_own=signals.shadow_own[shadows][:, records],
        is_probability=signals.is_probability,
    )
    return moved, records
