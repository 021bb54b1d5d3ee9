"""The attacks by name: where each lives, what sets it, what it needs, whom to cite.

Takes a name, signals and options; gives scores. Imports an attack when it is run, never before, and trains no model.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mia.attacks import options as settings
from mia.checks import RequestError, one_of
from mia.records import IN, OUT, Scores, Signals

NEEDS = ("shadows", "in_models", "out_models", "oracle", "classes")
"""What an attack may be unable to do without; `in_models`: shadows trained on the candidates; `classes`: an answer
for each class, which losses alone are not."""


@dataclass(frozen=True)
class AttackSpec:
    """One attack: `load` names its function, (signals, options, seed) -> Scores; a slow one takes `progress` too."""

    load: str  # "module:function"
    options: type
    needs: tuple[str, ...]  # of NEEDS
    citation: str
    is_slow: bool = False  # says how far it has come: (signals, options, seed, progress) -> Scores

    def function(self) -> Callable[..., Scores]:
        """Import and return the attack."""
        module, name = self.load.split(":")
        return getattr(importlib.import_module(module), name)


_SHOKRI = "Shokri, Stronati, Song, Shmatikov: Membership inference attacks against machine learning models, S&P 2017"
_YEOM = "Yeom, Giacomelli, Fredrikson, Jha: Privacy risk in machine learning, CSF 2018"
_SONG = "Song, Mittal: Systematic evaluation of privacy risks of machine learning models, USENIX Security 2021"
_WATSON = "Watson, Guo, Cormode, Sablayrolles: On the importance of difficulty calibration in MIAs, ICLR 2022"
_CARLINI = "Carlini, Chien, Nasr, Song, Terzis, Tramer: Membership inference attacks from first principles, S&P 2022"
_ZARIFZADEH = "Zarifzadeh, Liu, Shokri: Low-cost high-power membership inference attacks, ICML 2024"
_CHOQUETTE = "Choquette-Choo, Tramer, Carlini, Papernot: Label-only membership inference attacks, ICML 2021"

ATTACKS: dict[str, AttackSpec] = {
    # shadow classifiers: begin
    "shadow_svm": AttackSpec(
        "mia.attacks.shadow_classifier:attack", settings.ShadowSvmOptions, ("shadows", "classes"), _SHOKRI, is_slow=True
    ),
    "shadow_mlp": AttackSpec(
        "mia.attacks.shadow_classifier:attack", settings.ShadowMlpOptions, ("shadows", "classes"), _SHOKRI, is_slow=True
    ),
    "shadow_forest": AttackSpec(
        "mia.attacks.shadow_classifier:attack",
        settings.ShadowForestOptions,
        ("shadows", "classes"),
        _SHOKRI,
        is_slow=True,
    ),
    "shadow_logistic": AttackSpec(
        "mia.attacks.shadow_classifier:attack",
        settings.ShadowLogisticOptions,
        ("shadows", "classes"),
        _SHOKRI,
        is_slow=True,
    ),
    "shadow_boosting": AttackSpec(
        "mia.attacks.shadow_classifier:attack",
        settings.ShadowBoostingOptions,
        ("shadows", "classes"),
        _SHOKRI,
        is_slow=True,
    ),
    # shadow classifiers: end
    "gap": AttackSpec("mia.attacks.gap:attack", settings.GapOptions, ("classes",), _YEOM),
    "loss": AttackSpec("mia.attacks.confidence:loss", settings.LossOptions, (), _YEOM),
    "confidence": AttackSpec("mia.attacks.confidence:confidence", settings.ConfidenceOptions, ("classes",), _SONG),
    "entropy": AttackSpec("mia.attacks.confidence:entropy", settings.EntropyOptions, ("classes",), _SONG),
    "modified_entropy": AttackSpec(
        "mia.attacks.confidence:modified_entropy", settings.ModifiedEntropyOptions, ("classes",), _SONG
    ),
    "calibration": AttackSpec(
        "mia.attacks.calibration:attack", settings.CalibrationOptions, ("shadows", "out_models"), _WATSON
    ),
    "lira_online": AttackSpec(
        "mia.attacks.lira:online", settings.LiraOnlineOptions, ("shadows", "in_models", "out_models"), _CARLINI
    ),
    "lira_offline": AttackSpec(
        "mia.attacks.lira:offline", settings.LiraOfflineOptions, ("shadows", "out_models"), _CARLINI
    ),
    "rmia_online": AttackSpec(
        "mia.attacks.rmia:online", settings.RmiaOnlineOptions, ("shadows", "in_models", "out_models"), _ZARIFZADEH
    ),
    "rmia_offline": AttackSpec(
        "mia.attacks.rmia:offline", settings.RmiaOfflineOptions, ("shadows", "out_models"), _ZARIFZADEH
    ),
    "label_only": AttackSpec(
        "mia.attacks.label_only:attack", settings.LabelOnlyOptions, ("oracle", "classes"), _CHOQUETTE, is_slow=True
    ),
}


def check_possible(name: str, options: Any, protocol: str | None, num_shadows: int) -> None:
    """Check, before anything is trained, that an attack can work.

    Args:
        name: The attack.
        options: Its options.
        protocol: `disjoint` or `pool`; None for an audit file, whose membership is looked at when the attack runs.
        num_shadows: Shadow models that there will be.

    Raises:
        RequestError: it cannot; one line says what to change.
    """
    spec = _spec(name)
    if "in_models" in spec.needs and protocol == "disjoint":
        raise RequestError(
            f"attack={name} needs shadows trained on the target's records, split.protocol=disjoint has none: "
            f"set split.protocol=pool or use attack={name.replace('online', 'offline')}"
        )
    needed = fewest_shadows(name, options, protocol)
    if num_shadows < needed:
        where = f" under split.protocol={protocol}" if protocol else ""
        raise RequestError(f"split.num_shadows={num_shadows} is too few for attack={name}{where}: it needs {needed}")


def fewest_shadows(name: str, options: Any, protocol: str | None) -> int:
    """Return the number of shadows below which an attack could score no record at all.

    In `pool`, shadows come in complementary pairs: of three, a record has two IN and one OUT, or one and two.
    """
    spec = _spec(name)
    if "shadows" not in spec.needs:
        return 0
    if protocol is None:
        return 1
    if name == "lira_online":
        return 4 if options.variance == "per_record" else 3
    if name == "lira_offline":
        return 3 if protocol == "pool" else 2
    return 2 if "in_models" in spec.needs else 1


def run_attack(
    name: str,
    signals: Signals,
    options: Any,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Scores:
    """Run one attack.

    Args:
        name: The attack.
        signals: What models say about the records.
        options: The attack's options.
        seed: For attacks that draw at random.
        progress: Called by slow attacks with the steps done and the steps in all.

    Returns:
        Scores of the candidate records, in their order.

    Raises:
        RequestError: the signals lack what the attack needs, or no record can be scored; one line says what to change.
    """
    spec = _spec(name)
    assert isinstance(options, spec.options), f"options of {name} are {type(options).__name__}"
    check_signals(name, signals)
    scores = spec.function()(signals, options, seed, *([progress] if spec.is_slow else []))
    assert scores.score.shape == signals.candidates.shape, "one score per candidate record"
    if np.isnan(scores.score).all():
        why = "; ".join(scores.warnings)
        raise RequestError(f"attack={name} can score none of the {len(scores.score)} records: {why}")
    return scores


def _spec(name: str) -> AttackSpec:
    return ATTACKS[one_of("attack", name, ATTACKS)]


def check_signals(name: str, signals: Signals) -> None:
    """Check that signals hold what an attack needs.

    Raises:
        RequestError: they do not; one line says what to change.
    """
    spec = _spec(name)
    membership = signals.shadow_membership[:, signals.is_candidate]
    offline = name.replace("online", "offline")
    lacking = {
        "shadows": (signals.num_shadows > 0, "needs shadow models, and there are none"),
        "in_models": (
            (membership == IN).any(),
            f"needs shadows trained on the target's records, there are none: set split.protocol=pool or use {offline}",
        ),
        "out_models": (
            (membership == OUT).any(),
            "needs shadows not trained on the target's records, there are none: add shadows",
        ),
        "oracle": (
            signals.oracle is not None,
            "needs to ask the models about changed records, predictions from a file cannot answer: leave it out",
        ),
    }
    lacking["classes"] = (
        signals.num_classes > 1,
        "needs an answer for each class, losses alone are not enough: leave it out",
    )
    for need in spec.needs:
        there, message = lacking[need]
        if not there:
            raise RequestError(f"attack={name} {message}")
