"""Signals for tests: random ones with a membership effect, and small ones built by hand."""

from dataclasses import replace

import numpy as np

from mia.attacks.base import BaseOfflineOptions, BaseOnlineOptions
from mia.attacks.calibration import CalibrationOptions
from mia.attacks.confidence import ConfidenceOptions, EntropyOptions, LossOptions, ModifiedEntropyOptions
from mia.attacks.ensemble import EnsembleOptions
from mia.attacks.gap import GapOptions
from mia.attacks.lira import LiraOfflineOptions, LiraOnlineOptions
from mia.attacks.pmia import PmiaOptions
from mia.attacks.rmia import RmiaOfflineOptions, RmiaOnlineOptions
from mia.records import Signals

EVERY = {
    "gap": GapOptions(),
    "loss": LossOptions(),
    "confidence": ConfidenceOptions(),
    "entropy": EntropyOptions(),
    "modified_entropy": ModifiedEntropyOptions(),
    "calibration": CalibrationOptions(),
    "lira_online": LiraOnlineOptions(),
    "lira_offline": LiraOfflineOptions(),
    "rmia_online": RmiaOnlineOptions(),
    "rmia_offline": RmiaOfflineOptions(),
    "base_online": BaseOnlineOptions(),
    "base_offline": BaseOfflineOptions(),
    "pmia": PmiaOptions(),
}
COMPARING = (
    "calibration",
    "lira_online",
    "lira_offline",
    "rmia_online",
    "rmia_offline",
    "base_online",
    "base_offline",
    "pmia",
)
CASES = {
    **{name: (name, options) for name, options in EVERY.items()},
    "lira_online moderated": ("lira_online", LiraOnlineOptions("moderated")),
    "lira_offline moderated": ("lira_offline", LiraOfflineOptions("moderated")),
    "pmia moderated": ("pmia", PmiaOptions("moderated", "median")),
    "rmia_offline auto": ("rmia_offline", RmiaOfflineOptions(a="auto")),
    "pmia global": ("pmia", PmiaOptions("global")),
    "ensemble": ("ensemble", EnsembleOptions()),
}
"""By a name for people: every attack as it is by default, and some as they are not."""


def random_signals(
    *, seed=0, records=60, shadows=8, classes=4, effect=2.0, probability=False, unused=0.0, population=30
) -> tuple[Signals, np.ndarray]:
    """Return signals of the pool protocol and the target's membership; members' true class is `effect` more likely."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, records)
    member = np.array([generator.permutation(records) < records // 2 for _ in range(shadows + 1)]).reshape(-1, records)
    hardness = generator.normal(0, 2, records)
    logits = generator.normal(0, 1, (shadows + 1, records, classes))
    logits[:, np.arange(records), labels] += hardness + effect * member
    beside = generator.normal(0, 1, (shadows + 1, population, classes))
    membership = member[1:].astype(np.int8)
    membership[generator.random(membership.shape) < unused] = -1
    shape = probabilities if probability else np.asarray
    signals = Signals(
        labels=labels.astype(np.int32),
        is_candidate=np.ones(records, bool),
        target_outputs=shape(logits[0]).astype(np.float32),
        shadow_outputs=shape(logits[1:]).astype(np.float32),
        shadow_membership=membership,
        shadow_own=membership >= 0,
        is_probability=probability,
        population_outputs=np.concatenate([shape(beside[1:]), shape(beside[:1])]).astype(np.float32),
        population_labels=generator.integers(0, classes, population).astype(np.int32),
    )
    return signals, member[0]


def probabilities(logits):
    """Return softmax, rounded to four digits so that exact zeros and ties occur."""
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return np.round(shifted / shifted.sum(-1, keepdims=True), 4)


def two_class_signals(target_phi, shadow_phi, membership, **changes) -> Signals:
    """Return signals of two classes, all labelled 1, whose phi (here the difference of the logits) are as given."""
    shadow_phi = np.asarray(shadow_phi, np.float64)
    membership = np.asarray(membership, np.int8)
    target = np.stack([np.zeros(len(target_phi)), target_phi], axis=-1)
    signals = Signals(
        labels=np.ones(len(target_phi), np.int32),
        is_candidate=np.ones(len(target_phi), bool),
        target_outputs=target,
        shadow_outputs=np.stack([np.zeros(shadow_phi.shape), shadow_phi], axis=-1),
        shadow_membership=membership,
        shadow_own=membership >= 0,
    )
    return replace(signals, **changes)
