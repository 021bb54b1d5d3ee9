"""Attacks that look at the target's answer alone: log p_y, p_y, entropy and modified entropy, above a threshold.

Takes signals; the scores need no shadow, the thresholds are learnt on the shadows' own records (Song & Mittal 2021,
section 3.3; for the loss, Yeom et al. 2018, section 3.2). Never sees the target's membership.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mia.attacks import statistics
from mia.attacks.placebo import placebo_answers
from mia.attacks.shared_statistics import floor_of
from mia.attacks.spec import attack
from mia.attacks.stand_ins import score_stand_ins
from mia.attacks.thresholds import learn_thresholds
from mia.attacks.ties import settle
from mia.records import Scores, Signals

Statistic = Callable[[statistics.Outputs, statistics.Labels, bool, float], statistics.PerRecord]
YEOM = "Yeom, Giacomelli, Fredrikson, Jha: Privacy risk in machine learning, CSF 2018"
SONG = "Song, Mittal: Systematic evaluation of privacy risks of machine learning models, USENIX Security 2021"


@dataclass
class LossOptions:
    """Threshold on the log probability of the true class (Yeom et al. 2018): one for all classes, as in the paper."""

    per_class: bool = False


@dataclass
class ConfidenceOptions:
    """Threshold on the probability of the true class (Song & Mittal 2021)."""

    per_class: bool = True


@dataclass
class EntropyOptions:
    """Threshold on minus the entropy of the answer (Song & Mittal 2021)."""

    per_class: bool = True


@dataclass
class ModifiedEntropyOptions:
    """Threshold on minus the modified entropy, which knows the true class (Song & Mittal 2021)."""

    per_class: bool = True


@attack("loss", options=LossOptions, citation=YEOM)
def loss(signals: Signals, options: LossOptions, seed: int) -> Scores:
    """Score by the log probability of the true class: minus the loss, since members have a low one."""
    del seed
    return _threshold(statistics.log_confidence, signals, options.per_class)


@attack("confidence", options=ConfidenceOptions, needs=("classes",), citation=SONG)
def confidence(signals: Signals, options: ConfidenceOptions, seed: int) -> Scores:
    """Score by the probability of the true class."""
    del seed
    return _threshold(statistics.confidence, signals, options.per_class)


@attack("entropy", options=EntropyOptions, needs=("classes",), citation=SONG)
def entropy(signals: Signals, options: EntropyOptions, seed: int) -> Scores:
    """Score by minus the entropy of the answer."""
    del seed
    return _threshold(statistics.minus_entropy, signals, options.per_class)


@attack(
    "modified_entropy",
    options=ModifiedEntropyOptions,
    needs=("classes",),
    citation=SONG,
    label="modified entropy",
)
def modified_entropy(signals: Signals, options: ModifiedEntropyOptions, seed: int) -> Scores:
    """Score by minus the modified entropy, low for the confident and right, high for the confident and wrong."""
    del seed
    return _threshold(statistics.minus_modified_entropy, signals, options.per_class)


def _threshold(statistic: Statistic, signals: Signals, per_class: bool) -> Scores:
    def of(outputs: statistics.Outputs, labels: statistics.Labels) -> statistics.PerRecord:
        return statistic(outputs, labels, signals.is_probability, floor_of(signals))

    asked, answers = signals.candidates, placebo_answers(signals)
    labels = signals.labels[asked]
    score = settle(of(signals.target_outputs[asked], labels))
    placebo = None if answers is None else settle(of(answers, labels))
    known, shadows = score_stand_ins(signals, of)
    thresholds = None
    if known is not None:
        by_class = known.labels if per_class else None
        thresholds = learn_thresholds(known.score, known.is_member, by_class, signals.num_classes)
    none = np.zeros(len(asked), np.int64)
    if thresholds is None or known is None:
        why = "no shadow has members and non-members of its own: calibrated on nothing"
        return Scores(score, None, none, none, (f"{why}, no accuracy, precision or recall",), placebo=placebo)
    warnings: tuple[str, ...] = ()
    if thresholds.substituted:
        missing = ", ".join(map(str, thresholds.substituted))
        warnings = (f"shadows lack members or non-members of class {missing}: threshold of all classes",)
    details = {"shadows_for_threshold": float(shadows), **thresholds.details()}
    known = replace(known, is_predicted=thresholds.predict(known.score, known.labels))
    return Scores(score, thresholds.predict(score, labels), none, none, warnings, details, known, placebo)
