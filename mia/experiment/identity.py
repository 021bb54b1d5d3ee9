"""What makes a pool and what makes a run: the mappings whose fingerprints decide what can be used again.

Takes options and a data set; gives plain mappings. A pool's identity holds exactly what can change the weights: not the
number of shadows (they can be added), nor attacks, output defences or the machine.
"""

from dataclasses import MISSING, asdict, fields, is_dataclass, replace
from typing import Any

from mia.attacks import ATTACKS
from mia.defences import DEFENCES
from mia.experiment.options import ExperimentOptions
from mia.models import MODELS
from mia.records import Dataset, array_digest
from mia.registry import Registry
from mia.train.defences import TRAIN_DEFENCES
from mia.train.options import TrainOptions

TRAINING_VERSION = 1
"""Raised when the same options would give other weights, curves or logits than before."""
PRIVATE_VERSION = 3
"""The same for training by DP-SGD alone.

2: gradients of single records come from one backward pass, in smaller microbatches. The same up to round-off, but
noise is added to the rounded; models of version 1 are not used again. 3: noise by Box and Muller.
"""
VERSION_OF_MODEL = {"cnn": 3, "wide_resnet": 4}
"""The same for models of one name alone.

cnn 3, wide_resnet 4: convolutions of 3 x 3 by Winograd's filtering. cnn 2, wide_resnet 3: gradients of a batch are
added up from parts of at most eight records. wide_resnet 2: convolutions in strips, and sums over pixels first. The
same up to round-off; models of earlier versions are not used again.
"""
ANALYSIS_VERSION = 3
"""Raised when the same signals would give other scores or metrics than before, or a run is known by other things.

2: where no defence is on, `attacker.adaptive` no longer tells two runs apart; no attack has the target's complement
among its shadows, and equal answers are equal. 3: the placebo is judged among the records that it scores, sums
over a group's records are rounded once. Runs that were finished under earlier versions keep their numbers and are read
as before, but are not used again; their trained models are.
"""


def pool_identity(options: ExperimentOptions, data: Dataset, train: TrainOptions) -> dict[str, Any]:
    """Return what makes the models trained with `train`, which may be the target's options or the shadows'."""
    return {
        "training_version": TRAINING_VERSION,
        **_special_versions(options, train),
        "data": data.fingerprint,
        "split": {"protocol": options.split.protocol, "size": options.split.size}
        | ({"overlap": True} if options.split.overlap else {})
        | ({"canaries": options.split.canaries} if options.split.protocol == "canary" else {})
        | _people(data),
        "model": {"name": options.model.name} | _of(MODELS, options.model.name, options.model),
        "train": _train(replace(train, trace=False)),  # the weights are the same
        "seed": options.seed,
    }


def foreign_pool_identity(options: ExperimentOptions, data: Dataset, name: str) -> dict[str, Any]:
    """Return what makes models that somebody's own training makes: of it the store knows the name alone."""
    ours = pool_identity(options, data, options.train)
    return {key: value for key, value in ours.items() if key not in ("model", "train")} | {"own_training": name}


def own_pool_identity(
    options: ExperimentOptions, data: Dataset, own: Dataset, train: TrainOptions | None = None
) -> dict[str, Any]:
    """Return what makes shadows that are trained on the attacker's `own` records, the last ones of `data`."""
    return pool_identity(options, data, train or options.shadow_train) | {"own_records": len(own.x)}


def run_identity(options: ExperimentOptions, data: Dataset) -> dict[str, Any]:
    """Return all that can change the numbers of a run."""
    attacks = {name: _of(ATTACKS, name, chosen) for name, chosen in options.attack.chosen.items()}
    shadow_data = {"name": options.shadow_data.name} | distinct(options.shadow_data)
    return {
        "training_version": TRAINING_VERSION,
        **_special_versions(options, options.train),
        "analysis_version": ANALYSIS_VERSION,
        "data": data.fingerprint,
        **({"slices": sorted(data.slices)} if data.slices else {}),
        "split": {"protocol": options.split.protocol, "size": options.split.size}
        | distinct(options.split)
        | _people(data),
        "model": {"name": options.model.name} | _of(MODELS, options.model.name, options.model),
        "train": _train(options.train),
        "defence": {"name": options.defence.name} | _of(DEFENCES, options.defence.name, options.defence),
        "attacker": distinct(options.attacker) if options.is_defended else {},
        "attack": attacks,
        "prior": options.attack.prior,
        **({"growth": True} if options.attack.growth else {}),
        **({"audit": distinct(options.audit)} if options.split.protocol == "canary" else {}),
        "seed": options.seed,
    } | ({} if options.shadow_data.name == "real" else {"shadow_data": shadow_data})


def _special_versions(options: ExperimentOptions, train: TrainOptions) -> dict[str, int]:
    """Return what tells trainings of some kinds from older ones; nothing for all others, whose names stay."""
    version = VERSION_OF_MODEL.get(options.model.name)
    return ({"private_version": PRIVATE_VERSION} if train.dp.is_on else {}) | (
        {"model_version": version} if version else {}
    )


def _of(registry: Registry[Any], name: str, options: Any) -> dict[str, Any]:
    """Return what makes an extension: its options, and its version where that is above 1.

    Of another package's all options and the package: whoever changes a default there can raise no version here.
    """
    version = {"version": found} if (found := registry[name].version) > 1 else {}
    if registry.is_ours(name):
        return distinct(options) | version
    every = {"value": options} if isinstance(options, int | float) else asdict(options)
    return {"package": registry.package_of(name)} | every | version


def _train(train: TrainOptions) -> dict[str, Any]:
    """Return what makes a training: the options that count and differ from their defaults."""
    others = [one for one in train.defences() if not TRAIN_DEFENCES.is_ours(one.name) or one.version > 1]
    return distinct(train.effective()) | {one.name: _of(TRAIN_DEFENCES, one.name, train.given(one)) for one in others}


def _people(data: Dataset) -> dict[str, str]:
    """Return what tells whose record each is: it decides which records lie on one side together."""
    return {} if data.groups is None else {"groups": array_digest(data.groups)}


def distinct(options: Any) -> dict[str, Any]:
    """Return the fields that differ from their defaults.

    So an option that is added later, neutral by default, leaves the names of all that was trained before as they were.
    A default that changes must raise a version above.
    """
    differing: dict[str, Any] = {}
    for one in fields(options):
        value = getattr(options, one.name)
        default = one.default_factory() if one.default_factory is not MISSING else one.default
        if value != default:
            differing[one.name] = distinct(value) if is_dataclass(value) else value
    return differing
