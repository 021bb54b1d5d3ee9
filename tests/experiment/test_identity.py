"""Every config key has a verdict: it names another pool, or only another run, or neither; read from the schemas."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any, get_args

import numpy as np
import pytest

from mia.attacks.options import attack_schema, from_schema
from mia.checks import RequestError
from mia.config import Config, schemas
from mia.data.digits import DigitsOptions
from mia.defences.options import LabelOnlyOptions, NoneOptions, TemperatureOptions, TopKOptions
from mia.experiment.identity import pool_identity, run_identity
from mia.experiment.options import AttackerOptions, ExperimentOptions
from mia.fingerprint import fingerprint
from mia.models.options import MlpOptions, WideResnetOptions
from mia.records import Dataset
from mia.shadow_data.options import RealOptions
from mia.split import SplitOptions
from mia.train.defence_options import AdversarialOptions, DistillationOptions, DpOptions, EarlyStoppingOptions
from mia.train.options import TrainOptions

ANOTHER_POOL = {
    "seed", "split.protocol", "split.size", "split.overlap", "split.canaries",
    "model.name", "model.hidden", "model.activation", "model.depth", "model.width", "model.norm",
    "train.epochs", "train.batch_size", "train.learning_rate", "train.learning_rate_decay", "train.epsilon",
    "train.l2", "train.weight_decay", "train.dropout", "train.label_smoothing", "train.test_records",
    "train.confidence_penalty", "train.mixup", "train.relaxloss",
    "train.early_stopping.holdout", "train.early_stopping.patience",
    "train.augmentation.flip", "train.augmentation.shift", "train.augmentation.cutout",
    "train.adversarial.strength", "train.adversarial.reference",
    "train.distillation.reference", "train.distillation.temperature",
    "train.dp.noise_multiplier", "train.dp.clipping_norm", "train.dp.epsilon", "train.dp.delta", "train.dp.sampling",
    "train.dp.microbatch",
}  # fmt: skip
ANOTHER_RUN = {
    "split.num_shadows",
    "split.num_targets",
    "train.trace",  # the weights are the same
    "split.mislabel",  # another pool by its records, whose labels it changes
    "audit.*",
    "attacker.adaptive",
    "attack.*",
    "defence.*",
    "shadow_data.*",
}
NEITHER = {
    "limit.*", "engine.models_per_batch", "engine.snapshots", "engine.keep_state",
    "engine.on_interrupt", "engine.configurations_per_job", "engine.tune",
    "tracking.experiment", "tracking.uri", "tracking.enabled", "tracking.patience", "rerun", "dry_run",
    "stop_after_failures",
}  # fmt: skip
BY_ITS_RECORDS = {"data.*"}
"""What the data set is asked for with counts through the records that come of it."""

DATA = Dataset("blobs", np.zeros((400, 6), np.float32), np.arange(400, dtype=np.int32) % 3, 3)
WORDS = [
    "leave",
    "auto",
    "records",
    "forest",
    "pool",
    "forest",
    "relu",
    "batch",
    "laplace",
    "redraw",
    "wide",
    "full",
    "global",
    "median",
    "density",
    "logits",
    "2",
    "shuffled",
]
GROUPS = [(group.removeprefix("schema/"), kind()) for group, _, kind in schemas() if group and "/" in group
          and group != "schema/data"]  # fmt: skip
BASE = Config(
    data=DigitsOptions(), model=MlpOptions(), defence=NoneOptions(), shadow_data=RealOptions(),
    split=SplitOptions(num_shadows=3),
)  # fmt: skip

SWITCHED_ON = {
    "train.early_stopping": TrainOptions(early_stopping=EarlyStoppingOptions(0.2)),
    "train.adversarial": TrainOptions(adversarial=AdversarialOptions(1.0)),
    "train.distillation": TrainOptions(distillation=DistillationOptions(0.5)),
    "train.dp": TrainOptions(dp=DpOptions(clipping_norm=1.0)),
}
"""A defence's other values count only while it is on."""


def base_of(key: str, **parts: Any) -> Config:
    """Return a config in which the key counts."""
    if key == "split.num_targets":
        return replace(BASE, split=SplitOptions("pool", num_shadows=3))
    if key == "attacker.adaptive":
        return replace(BASE, train=TrainOptions(l2=1e-3))
    if key in ("split.canaries", "split.mislabel") or key.startswith("audit."):
        return replace(BASE, split=SplitOptions("canary", num_shadows=3))
    switched_on = SWITCHED_ON.get(key.rpartition(".")[0])
    return replace(BASE, **parts, **({"train": switched_on} if switched_on else {}))


def cases() -> Iterator[tuple[str, Config, Config]]:
    """Yield every key with two configs that differ in it alone."""
    for one in fields(Config):
        if one.name == "attack":
            yield from attack_cases()
        elif one.name not in dict(GROUPS) and one.name != "data":
            yield from changes(one.name, base_of, one.name)
    for group, options in GROUPS:
        yield from changes(group, lambda key, group=group, options=options: base_of(key, **{group: options}), group)
        if options != getattr(BASE, group):
            yield f"{group}.name", BASE, replace(BASE, **{group: options})


def attack_cases() -> Iterator[tuple[str, Config, Config]]:
    for one in fields(attack_schema()):
        kind = next((kind for kind in get_args(one.type) if is_dataclass(kind)), None)
        if kind is None:
            yield f"attack.{one.name}", BASE, with_other(BASE, ["attack", one.name])
            continue
        base = replace(BASE, attack=attack_schema()(**{one.name: kind()}))
        yield f"attack.{one.name}", BASE, base
        yield from changes(f"attack.{one.name}", lambda _, base=base: base, "attack", one.name)


def changes(prefix: str, base_for: Any, *path: str) -> Iterator[tuple[str, Config, Config]]:
    options: Any = base_for("")
    for step in path:
        options = getattr(options, step)
    if not is_dataclass(options):
        yield prefix, base_for(prefix), with_other(base_for(prefix), list(path))
        return
    for one in fields(options):
        if is_dataclass(getattr(options, one.name)):
            yield from changes(f"{prefix}.{one.name}", base_for, *path, one.name)
        elif one.name != "name":
            base = base_for(f"{prefix}.{one.name}")
            yield f"{prefix}.{one.name}", base, with_other(base, [*path, one.name])


def with_other(options: Any, path: list[str]) -> Any:
    """Return the options with another value at the path, one that is allowed."""
    value = getattr(options, path[0])
    if len(path) > 1:
        return replace(options, **{path[0]: with_other(value, path[1:])})
    for other in others(value):
        try:
            changed = replace(options, **{path[0]: other})
        except (RequestError, TypeError, AttributeError):
            continue
        if getattr(changed, path[0]) != value:
            return changed
    raise AssertionError(f"no other value found for {path[0]}={value!r}: add one to WORDS")


def others(value: Any) -> list[Any]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1, value + 6, value + 100]
    if isinstance(value, float):
        return [value + 0.25, value / 2, value + 0.01]
    if isinstance(value, list):
        return [[*value, 9]]
    return [7, 0.5, "sqlite:////x.db"] if value is None else [*WORDS, 0.01, ["loss", "calibration"], "word"]


def experiment_of(config: Config) -> ExperimentOptions:
    """Return what `to_options` makes of a config: its attacks by name."""
    return replace(config, attack=from_schema(config.attack)).experiment()


def verdict(key: str) -> str:
    if key == "attack.gap":
        return "neither"  # it stands beside every attack, named or not
    group = key.partition(".")[0] + ".*"
    found = [
        name
        for name, keys in {
            "pool": ANOTHER_POOL, "run": ANOTHER_RUN, "neither": NEITHER, "data": BY_ITS_RECORDS
        }.items()
        if key in keys or group in keys
    ]  # fmt: skip
    assert len(found) == 1, f"{key} needs one verdict: does it change the weights, the scores, or neither? {found}"
    return found[0]


@pytest.mark.parametrize(("key", "base", "changed"), [pytest.param(*case, id=case[0]) for case in cases()])
def test_a_key_counts_where_it_must_and_nowhere_else(key, base, changed):
    one, other = experiment_of(base), experiment_of(changed)
    is_other_pool = pool_identity(one, DATA, one.train) != pool_identity(other, DATA, other.train)
    is_other_run = run_identity(one, DATA) != run_identity(other, DATA)
    assert (is_other_pool, is_other_run) == {
        "pool": (True, True), "run": (False, True), "neither": (False, False)
    }[verdict(key)]  # fmt: skip


def test_every_verdict_is_about_a_key_that_is_there():
    keys = {key for key, _, _ in cases()}
    groups = {f"{key.split('.')[0]}.*" for key in keys} | {"data.*"}
    assert (ANOTHER_POOL | ANOTHER_RUN | NEITHER | BY_ITS_RECORDS) - keys - groups == set()


@pytest.mark.parametrize(
    "change", [{"y": (DATA.y + 1) % 3}, {"scale": 2.0}, {"x": DATA.x + 1}], ids=["y", "scale", "x"]
)
def test_other_records_name_another_pool(change):
    options, other = experiment_of(BASE), replace(DATA, **change)
    assert pool_identity(options, DATA, options.train) != pool_identity(options, other, options.train)


def test_the_strict_split_keeps_the_name_it_had_before_it_could_be_relaxed():
    options = experiment_of(BASE)
    assert pool_identity(options, DATA, options.train)["split"] == {"protocol": "disjoint", "size": 300}
    assert run_identity(options, DATA)["split"] == {"protocol": "disjoint", "size": 300, "num_shadows": 3}


@pytest.mark.parametrize("parts", [
    {},
    {"train": TrainOptions(epochs=7, learning_rate=0.1)},
    {"train": TrainOptions(early_stopping=EarlyStoppingOptions(patience=9))},  # which does not count while it is off
    {"defence": TemperatureOptions(temperature=1.0)},
    {"defence": TopKOptions(k=0)},
], ids=str)  # fmt: skip
def test_without_a_defence_no_attacker_knows_more_than_another(parts):
    knowing, unknowing = (
        experiment_of(replace(BASE, attacker=AttackerOptions(adaptive), **parts)) for adaptive in (True, False)
    )
    assert run_identity(knowing, DATA) == run_identity(unknowing, DATA)
    assert pool_identity(knowing, DATA, knowing.shadow_train) == pool_identity(unknowing, DATA, unknowing.shadow_train)


@pytest.mark.parametrize("parts", [
    {"train": TrainOptions(l2=1e-3)},
    {"train": TrainOptions(dp=DpOptions(clipping_norm=1.0))},
    {"defence": TemperatureOptions()},
    {"defence": LabelOnlyOptions()},
], ids=str)  # fmt: skip
def test_behind_a_defence_the_attackers_knowledge_makes_another_run(parts):
    knowing, unknowing = (
        experiment_of(replace(BASE, attacker=AttackerOptions(adaptive), **parts)) for adaptive in (True, False)
    )
    assert run_identity(knowing, DATA) != run_identity(unknowing, DATA)


def test_pools_of_before_are_found_again():
    """Their names rest on nothing that this version changed: this one was computed by the version before."""
    options = experiment_of(BASE)
    assert fingerprint(pool_identity(options, DATA, options.train)) == "a6c8f7bd639437fd26bb"


def test_the_version_of_dp_sgd_names_its_trainings_alone(monkeypatch):
    plain, private = TrainOptions(), TrainOptions(dp=DpOptions(clipping_norm=1.0))

    def names(train):
        chosen = experiment_of(replace(BASE, train=train))
        return fingerprint(pool_identity(chosen, DATA, train)), fingerprint(run_identity(chosen, DATA))

    before = names(plain), names(private)
    monkeypatch.setattr("mia.experiment.identity.PRIVATE_VERSION", 99)
    assert names(plain) == before[0]
    assert all(now != then for now, then in zip(names(private), before[1], strict=True))


def test_the_version_of_a_model_names_its_trainings_alone(monkeypatch):
    def names(model):
        chosen = experiment_of(replace(BASE, model=model))
        return fingerprint(pool_identity(chosen, DATA, chosen.train)), fingerprint(run_identity(chosen, DATA))

    before = names(MlpOptions()), names(WideResnetOptions())
    monkeypatch.setattr("mia.experiment.identity.VERSION_OF_MODEL", {"wide_resnet": 99})
    assert names(MlpOptions()) == before[0]
    assert all(now != then for now, then in zip(names(WideResnetOptions()), before[1], strict=True))
