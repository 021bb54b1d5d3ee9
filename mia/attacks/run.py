"""Running an attack by its name: what it needs is checked before, what it gives is checked after.

Takes a name, signals and options; gives scores. Trains no model.
"""

import inspect
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped

from mia.attacks.design import with_equal_counts
from mia.attacks.memory import remembered
from mia.attacks.placebo import placebo_signals
from mia.attacks.spec import ATTACKS, AttackSpec
from mia.checks import RequestError
from mia.records import IN, OUT, Scores, Signals
from mia.registry import ExtensionError, naming

Progress = Callable[[int, int], None]


class AttackError(ExtensionError):
    """An attack of another package failed: the message names it, the cause is what it raised."""


def check_possible(name: str, options: Any, protocol: str | None, num_shadows: int, num_targets: int = 1) -> None:
    """Check, before anything is trained, that an attack can work.

    Args:
        name: The attack.
        options: Its options.
        protocol: `disjoint` or `pool`; None for an audit file, whose membership is looked at when the attack runs.
        num_shadows: Shadow models that there will be.
        num_targets: Models that are the target in turn. One that is a shadow otherwise is attacked without its
            complement.

    Raises:
        RequestError: it cannot; one line says what to change.
    """
    spec = ATTACKS[name]
    if "in_models" in spec.needs and protocol == "disjoint":
        raise RequestError(
            f"attack={name} needs shadows trained on the target's records, split.protocol=disjoint has none: "
            f"set split.protocol=pool{_instead(spec, 'attack=')}"
        )
    needed = fewest_shadows(name, options, protocol)
    if needed and num_targets > 1:
        needed += 1
    if num_shadows < needed:
        where = f" under split.protocol={protocol}" if protocol else ""
        where += f" with split.num_targets={num_targets}" if num_targets > 1 else ""
        raise RequestError(f"split.num_shadows={num_shadows} is too few for attack={name}{where}: it needs {needed}")


def fewest_shadows(name: str, options: Any, protocol: str | None) -> int:
    """Return the number of shadows below which an attack could score no record at all.

    In `pool`, shadows come in complementary pairs: of three, a record has two IN and one OUT, or one and two.
    """
    spec = ATTACKS[name]
    if "shadows" not in spec.needs:
        return 0
    if protocol is None:
        return 1
    if spec.fewest_shadows is not None:
        return spec.fewest_shadows(options, protocol)
    return 2 if "in_models" in spec.needs else 1


def run_attack(
    name: str,
    signals: Signals,
    options: Any,
    seed: int,
    progress: Progress | None = None,
    *,
    is_member: Bool[np.ndarray, "Q"] | None = None,
    groups: Shaped[np.ndarray, "Q"] | None = None,
) -> Scores:
    """Run one attack.

    Args:
        name: The attack.
        signals: What models say about the records.
        options: The attack's options.
        seed: For attacks that draw at random.
        progress: Called by slow attacks with the steps done and the steps in all.
        is_member: The candidates' true membership. It reaches the attacks of the owner's view that say they need it,
            and no other.
        groups: Whose record each candidate is; it reaches those of them that take `groups`, too.

    Returns:
        Scores of the candidate records, in their order.

    Raises:
        RequestError: the signals lack what the attack needs, no record can be scored, or the attack gives something
            that is no score per record; one line says what to change.
        AttackError: the attack belongs to another package and failed.
    """
    spec = ATTACKS[name]
    assert isinstance(options, spec.options), f"options of {name} are {type(options).__name__}"
    check_signals(name, signals)
    signals, left_out = with_equal_counts(signals, seed)
    more = _more(spec, progress, is_member, groups)
    scores = _as_scores(name, _call(spec, signals, options, seed, more), len(signals.candidates))
    scores = replace(scores, warnings=(*scores.warnings, *left_out)) if left_out else scores
    if scores.placebo is None and not (
        ATTACKS.is_ours(name) or spec.is_slow or not spec.is_offline or "membership" in spec.needs
    ):
        scores = with_placebo(scores, signals, lambda asked: _run_placebo(spec, asked, options, seed))
    if np.isnan(scores.score).all():
        why = f": {'; '.join(scores.warnings)}" if scores.warnings else ""
        raise RequestError(f"attack={name} can score none of the {len(scores.score)} records{why}")
    return scores


def with_placebo(scores: Scores, signals: Signals, run: Callable[[Signals], Any]) -> Scores:
    """Return the scores with the placebo's beside them, by running the whole attack once more.

    Without where there is no shadow; with a line in its place where the attack fails.
    """
    asked = placebo_signals(signals)
    if asked is None:
        return scores
    try:
        given = run(asked)
        score = np.asarray(given.score if isinstance(given, Scores) else given, np.float64)
    except RequestError:
        return scores
    except Exception as error:  # noqa: BLE001 - what it was asked for is there
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return replace(scores, warnings=(*scores.warnings, f"its placebo failed: {reason}"))
    return replace(scores, placebo=score) if score.shape == scores.score.shape else scores


def _run_placebo(spec: AttackSpec, signals: Signals, options: Any, seed: int) -> Any:
    check_signals(spec.name, signals)
    signals, _ = with_equal_counts(signals, seed)
    return _call(spec, signals, options, seed, {})


def _more(
    spec: AttackSpec,
    progress: Progress | None,
    is_member: Bool[np.ndarray, "Q"] | None,
    groups: Shaped[np.ndarray, "Q"] | None,
) -> dict[str, Any]:
    """Return what some attacks are called with beside signals, options and seed."""
    more: dict[str, Any] = {"progress": progress} if spec.is_slow else {}
    if "membership" in spec.needs:
        assert spec.is_owners, "the truth is for the owner alone"
        if is_member is None:
            raise RequestError(f"attack={spec.name} needs the target's membership, which is not given here")
        more["is_member"] = is_member.copy()
        if "groups" in inspect.signature(spec.function).parameters:
            more["groups"] = groups
    return more


def _call(spec: AttackSpec, signals: Signals, options: Any, seed: int, more: dict[str, Any]) -> Any:
    if ATTACKS.is_ours(spec.name):
        return spec.function(signals, options, seed, **more)
    try:
        with naming(ATTACKS.outside(spec.name)):
            return spec.function(read_only(signals), options, seed, **more)
    except ExtensionError as error:
        raise AttackError(str(error)) from error.__cause__


def read_only(signals: Signals) -> Signals:
    """Return the same signals, of which an attack cannot change what other attacks and the caller see."""
    views: dict[str, Any] = {}
    for one in fields(signals):
        if isinstance(value := getattr(signals, one.name), np.ndarray):
            views[one.name] = value.view()
            views[one.name].flags.writeable = False
    return replace(signals, **views)


def _as_scores(name: str, given: Any, count: int) -> Scores:
    """Return what an attack gave as scores; an array is the score alone."""
    scores = given
    if isinstance(given, np.ndarray) and given.dtype.kind in "fiub":
        none = np.zeros(count, np.int64)
        said = "no accuracy, precision or recall: it gives scores and no predictions; return Scores with is_predicted"
        scores = Scores(given.astype(np.float64), None, none, none, warnings=(said,))
    if not isinstance(scores, Scores):
        what = f"an array of {given.dtype}" if isinstance(given, np.ndarray) else type(given).__name__
        raise RequestError(f"attack={name} gave {what}, not Scores or an array of numbers")
    for what, values in (
        ("score", scores.score),
        ("is_predicted", scores.is_predicted),
        ("num_in", scores.num_in),
        ("num_out", scores.num_out),
    ):
        if values is not None and np.shape(values) != (count,):
            raise RequestError(
                f"attack={name} gave {what} of shape {np.shape(values)}, not ({count},): one value per candidate record"
            )
    if scores.is_predicted is not None and np.asarray(scores.is_predicted).dtype != bool:
        kind = np.asarray(scores.is_predicted).dtype
        raise RequestError(f"attack={name} gave is_predicted of type {kind}, not bool: whether a member is predicted")
    return scores


def check_signals(name: str, signals: Signals) -> None:
    """Check that signals hold what an attack needs.

    Raises:
        RequestError: they do not; one line says what to change.
    """
    spec = ATTACKS[name]
    has_in, has_out = remembered(
        signals,
        "kinds of shadows",
        signals.shadow_membership,
        lambda: [bool(((signals.shadow_membership == kind) & signals.is_candidate).any()) for kind in (IN, OUT)],
    )
    lacking = {
        "shadows": (signals.num_shadows > 0, "needs shadow models, and there are none"),
        "in_models": (
            has_in,
            "needs shadows trained on the target's records, there are none: set split.protocol=pool" + _instead(spec),
        ),
        "out_models": (
            has_out,
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
    lacking["features"] = (
        signals.features is not None,
        "needs the records themselves, a file of predictions does not hold them: leave it out",
    )
    lacking["models"] = (
        signals.models is not None,
        "needs to look into the models, of which only those that mia trains are at hand: leave it out",
    )
    lacking["trace"] = (
        signals.trace is not None,
        "needs the target's losses over its epochs: set train.trace=true (a file of predictions holds none)",
    )
    lacking["known_nonmembers"] = (
        has_known_nonmembers(signals),
        "needs records that the target was surely not trained on, there are none: choose a smaller split.size",
    )
    for need in spec.needs:
        there, message = lacking.get(need, (True, ""))
        if not there:
            raise RequestError(f"attack={name} {message}")


def has_known_nonmembers(signals: Signals) -> bool:
    """Tell whether there are records in play that are not in question: the attacker's own, or a population."""
    return bool((~signals.is_candidate).any()) or signals.population_outputs is not None


def _instead(spec: AttackSpec, prefix: str = "") -> str:
    return f" or use {prefix}{spec.instead}" if spec.instead else ""
