"""The Python face: audit predictions, plan who trains on what, compose and run experiments.

Takes arrays or overrides, gives results. What the command does, this does too, without a store of runs.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mia.checks import RequestError
from mia.plans import Plan, make_plan
from mia.results import Result

if TYPE_CHECKING:
    from mia.experiment.options import ExperimentOptions
    from mia.predictions.audit import Audit
    from mia.records import Dataset

Attack = Callable[..., Any]
Attacks = str | Iterable[str | Attack] | Mapping[str, Any] | None


def audit(
    target_logits: Any = None,
    target_member: Any = None,
    labels: Any = None,
    shadow_logits: Any = None,
    shadow_member: Any = None,
    population_logits: Any = None,
    population_labels: Any = None,
    *,
    attacks: Attacks = None,
    seed: int = 0,
    prior: float = 0.5,
    delta: float = 1e-5,
    confidence: float = 0.95,
    group_score: str = "mean",
    plan: Plan | str | Path | None = None,
    predictions: Callable[[int], Any] | str | Path | None = None,
    kind: str = "logits",
    scores: Mapping[str, Any] | None = None,
    member: Any = None,
    slices: Mapping[str, Any] | None = None,
    **others: Any,
) -> Result:
    """Return how much predictions tell about who was in the training set of the model that made them.

    Arrays are anything `numpy.asarray` takes: torch tensors, JAX arrays, frames, lists, memory maps. Axes: N records, K
    shadows, C classes, Z population records. Membership is 1, 0, or -1 for "not evaluated". Four forms:

    - a target and shadows: `target_logits` [N C], `target_member` [N], `labels` [N], `shadow_logits` [K N C],
      `shadow_member` [K N], optionally `population_logits` [K+1 Z C] (the target last) and `population_labels` [Z].
      `..._probabilities` serve in place of `..._logits`, and losses, `target_loss` [N] and `shadow_loss` [K N];
    - all models in turn: `logits` [M N C] (or `probabilities`, or `loss` [M N]), `member` [M N], `labels` [N]: metrics
      are means over the targets, with deviations as `<name>_sd`;
    - a plan: `plan` (or its file), `predictions` (a folder, or a function from a model's number to [N C]), `labels`,
      and `kind`: `logits`, `probabilities` or `losses`;
    - scores made elsewhere: `scores`, a mapping from names to [N], and `member` [N]; with `labels` [N] slices by class.

    Args:
        target_logits: What the target says of each record.
        target_member: Whether each record was in its training set.
        labels: True classes: numbers from 0 or 1, one-hot rows, or names.
        shadow_logits: What each shadow says of each record.
        shadow_member: Whether each record was in each shadow's training set.
        population_logits: What all models say of records that none has seen.
        population_labels: Their classes.
        attacks: None or `quick`: every attack that is possible and takes no time; `full`: the shadow classifiers, too;
            or names, functions `(Signals, seed) -> scores [Q]`, or a mapping from names to functions, options or
            dictionaries of options. What is named must be possible.
        seed: Of all that is drawn.
        prior: Share of members that `precision_at_prior` is stated for.
        delta: Of the guarantee that bounds on epsilon test (`independent=True`, or a canary plan).
        confidence: Of those bounds.
        group_score: How the scores of a group's records become one (`groups` [N]): `mean`, `sum` or `max`.
        plan: Who trained on what.
        predictions: What the plan's models say.
        kind: Of `predictions`.
        scores: Of attacks made elsewhere, high = member.
        member: Membership of `scores` [N], or of all models [M N].
        slices: Values [N] by name, to tell apart who is exposed.
        others: Further arrays by their names in files: `target_probabilities`, `target_loss`, `logits`, `groups`,
            `index`, `class_names`, `independent` ...

    Raises:
        RequestError: arrays that are missing, disagree or hold what cannot be; one line says what would be right.

    Example:
        >>> import numpy as np, mia
        >>> generator = np.random.default_rng(0)
        >>> member = generator.integers(0, 2, (9, 200))
        >>> labels = generator.integers(0, 3, 200)
        >>> logits = generator.normal(size=(9, 200, 3)) + 2 * member[:, :, None] * (labels[:, None] == np.arange(3))
        >>> result = mia.audit(logits[0], member[0], labels, logits[1:], member[1:])
        >>> result.scores["loss"].score.shape
        (200,)
        >>> bool(result.metrics["attack/lira_online/auc_low"] > 0.7)
        True
    """
    from mia.experiment.audit import check_attacks, run_audit
    from mia.experiment.judge import Terms

    arrays = {
        "target_logits": target_logits, "target_member": target_member, "labels": labels,
        "shadow_logits": shadow_logits, "shadow_member": shadow_member, "population_logits": population_logits,
        "population_labels": population_labels, "member": member, **others,
        **{f"slice_{name}": values for name, values in (slices or {}).items()},
    }  # fmt: skip
    terms = Terms(prior, delta, confidence, group_score)
    read = _read({name: given for name, given in arrays.items() if given is not None}, plan, predictions, kind, scores)
    chosen, is_chosen = choose_attacks(attacks)
    if is_chosen:
        check_attacks(read, chosen)
    return Result.of(run_audit(read, chosen, seed, is_chosen=is_chosen, terms=terms))


def _read(
    arrays: dict[str, Any],
    plan: Plan | str | Path | None,
    predictions: Callable[[int], Any] | str | Path | None,
    kind: str,
    scores: Mapping[str, Any] | None,
) -> "Audit":
    from mia.predictions.audit import make_audit_of_scores
    from mia.predictions.forms import KNOWN, make_audit
    from mia.predictions.planned import audit_of_plan, read_plan

    strange = [name for name in arrays if name not in KNOWN and not name.startswith("slice_")]
    if strange:
        from mia.checks import did_you_mean

        raise RequestError(f"mia.audit takes no {strange[0]!r}{did_you_mean(strange[0], KNOWN)}")
    if scores is not None:
        return make_audit_of_scores(arrays, scores)
    if plan is None:
        return make_audit(arrays)
    if predictions is None:
        raise RequestError("mia.audit(plan=...) needs predictions=, a folder or a function of the model's number")
    plan = plan if isinstance(plan, Plan) else read_plan(plan)
    return audit_of_plan(plan, predictions if callable(predictions) else Path(predictions), kind, arrays)


def choose_attacks(attacks: Attacks) -> tuple[dict[str, Any], bool]:
    """Return attacks by name, options or functions, those that take their time last; and whether a person named them.

    Raises:
        RequestError: an unknown attack, or options that it does not have.
    """
    from mia.attacks import ATTACKS

    if attacks is None or (isinstance(attacks, str) and attacks in ("quick", "full")):
        names = [
            n
            for n, spec in ATTACKS.items()
            if spec.is_offline and not spec.is_owners and (attacks == "full" or not spec.is_slow)
        ]
        chosen: dict[str, Any] = {name: ATTACKS[name].options() for name in names}
    elif isinstance(attacks, Mapping):
        chosen = {name: _options(name, given) for name, given in attacks.items()}
    else:
        listed = [attacks] if isinstance(attacks, str) or callable(attacks) else attacks
        chosen = dict(_named(one) for one in listed)
    ordered = sorted(chosen, key=lambda name: name in ATTACKS and ATTACKS[name].is_slow)
    is_chosen = attacks is not None and not (isinstance(attacks, str) and attacks in ("quick", "full"))
    return {name: chosen[name] for name in ordered}, is_chosen


def _named(one: str | Attack) -> tuple[str, Any]:
    if isinstance(one, str):
        return one, _options(one, {})
    return getattr(one, "__name__", type(one).__name__), one


def _options(name: str, given: Any) -> Any:
    from mia.attacks import ATTACKS
    from mia.checks import one_of

    if callable(given):
        return given
    kind = ATTACKS[one_of("attack", name, ATTACKS)].options
    if isinstance(given, kind):
        return given
    try:
        return kind(**(given or {}))
    except TypeError as error:
        raise RequestError(f"attack.{name}: {' '.join(str(error).split())}") from error


def plan(
    num_records: int,
    num_shadows: int = 16,
    protocol: str = "pool",
    seed: int = 0,
    *,
    size: int | None = None,
    canaries: int | None = None,
    mislabel: bool = False,
    labels: Any = None,
) -> Plan:
    """Return who trains on what: `.member` [K+1 N], `.indices(model)`, `.complements`, `.labels`, `.save(path)`.

    See `mia.plans.make_plan` for the arguments.

    Example:
        >>> import mia
        >>> mia.plan(1000, num_shadows=4).indices(0).shape
        (500,)
    """
    return make_plan(
        num_records, num_shadows, protocol, seed, size=size, canaries=canaries, mislabel=mislabel, labels=labels
    )


def compose(*overrides: str) -> "ExperimentOptions":
    """Return the options of an experiment, from overrides as one would type them after `mia`.

    Raises:
        RequestError: an unknown key, a wrong type or an impossible value.

    Example:
        >>> import mia
        >>> mia.compose("data=digits", "train.l2=1e-3").train.l2
        0.001
    """
    from mia.composition import compose_config
    from mia.config import Config, to_options

    config: Config = to_options(compose_config(list(overrides)), Config)
    return config.experiment()


def run(
    options: "ExperimentOptions",
    train: Callable[..., Any] | None = None,
    *,
    data: "Dataset | None" = None,
    name: str = "",
    store: str | Path | None = None,
    track: bool = False,
) -> Result:
    """Return what an experiment found out; models are kept in the store of pools and found there again.

    Args:
        options: As `mia.compose` gives them.
        train: Somebody's own training: `train(indices, seed)` trains one model on those records and returns a function
            from records [B ...], as they lie in the data set, to logits [B C]. None: ours.
        data: The data set; None: the one that `options.data` names.
        name: What tells this training from others in the store; needed with `train`, whose code nobody compares.
        store: Folder of the pools; None: `pools/` in `MIA_HOME`, as the command has it.
        track: Whether to leave a run in the store of runs, as the command does.

    Raises:
        RequestError: the request cannot work.

    Example:
        >>> import mia, tempfile
        >>> small = mia.compose("split.size=40", "split.num_shadows=2", "train.epochs=2", "attack=[loss]")
        >>> mia.run(small, store=tempfile.mkdtemp()).scores["loss"].score.shape
        (80,)
    """
    from mia.data import load
    from mia.experiment.own_training import OwnTraining
    from mia.experiment.run import run_experiment
    from mia.home import home
    from mia.store import PoolStore

    if (train is None) != (not name):
        raise RequestError(
            "mia.run(train=...) and name=... go together: the store knows own training by its name alone"
        )
    data = load(options.data) if data is None else data
    own = None if train is None else OwnTraining(name, train)
    pools = PoolStore(home() / "pools" if store is None else Path(store))
    if not track:
        return Result.of(run_experiment(options, data, pools, own=own))
    from mia.cli.publish import publish
    from mia.tracked import tracked_run

    with tracked_run(options, data, name) as tracked:
        found = run_experiment(options, data, pools, own=own)
        publish(tracked, found, data.x if data.is_image else None)
    return Result.of(found)
