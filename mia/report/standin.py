"""STAND-IN until `config.from_stored` and the `settings()` of options are merged; deleted then."""

import dataclasses
import math
from types import SimpleNamespace
from typing import Any

import yaml

from mia.settings import Setting, Strength, setting_of

TRAIN = {
    "l2": Strength("L2", "l2"), "weight_decay": Strength("weight decay", "weight_decay"),
    "dropout": Strength("dropout", "dropout"), "label_smoothing": Strength("label smoothing", "label_smoothing"),
    "confidence_penalty": Strength("confidence penalty", "confidence_penalty"), "mixup": Strength("mixup", "mixup"),
    "relaxloss": Strength("RelaxLoss", "relaxloss"),
}  # fmt: skip
GROUPS = {
    "early_stopping": Strength("early stopping", "holdout"), "augmentation": Strength("augmentation", "shift"),
    "adversarial": Strength("adversarial regularisation", "strength"),
    "distillation": Strength("distillation", "reference"),
}  # fmt: skip
OUTPUT = {
    "top_k": Strength("top k", "k", is_lower_stronger=True, symbol="k ="),
    "rounding": Strength("rounding", "digits", is_lower_stronger=True),
    "temperature": Strength("temperature", "temperature", neutral=1), "label_only": Strength("label only"),
    "noise": Strength("noise", "scale", kinds=("distribution",)), "memguard": Strength("MemGuard", "epsilon"),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Stored:
    options: Any
    unknown: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


class Options(SimpleNamespace):
    def settings(self) -> list[Setting]:
        train = self.train
        found = [setting_of(train, strength, f"train.{key}") for key, strength in TRAIN.items()]
        found += [setting_of(getattr(train, key), strength, f"train.{key}") for key, strength in GROUPS.items()]
        if train.dp.is_on:
            by = "epsilon" if train.dp.epsilon else "noise_multiplier"
            strength = Strength("DP-SGD", by, neutral=-1, is_lower_stronger=by == "epsilon", symbol=by)
            found.append(setting_of(train.dp, strength, "train.dp"))
        if self.defence.name in OUTPUT:
            found.append(setting_of(self.defence, OUTPUT[self.defence.name], f"defence.{self.defence.name}"))
        return [one for one in found if one]


def from_stored(text: str) -> Stored:
    from mia.config import OmegaConf  # noqa: F401
    from mia.data import options as data
    from mia.defences import options as defences
    from mia.experiment.options import AttackerOptions
    from mia.models import options as models
    from mia.shadow_data import options as shadow_data
    from mia.split.options import SplitOptions
    from mia.train.options import TrainOptions

    values = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))

    def one(module: Any, base: type, given: dict[str, Any]) -> Any:
        kinds = [k for k in vars(module).values() if isinstance(k, type) and issubclass(k, base) and k is not base]
        kind = next((k for k in kinds if {f.name: f for f in dataclasses.fields(k)}["name"].default == given["name"]), base)
        return build(kind, given)

    return Stored(Options(
        seed=values["seed"], data=one(data, data.DataOptions, values["data"]),
        split=build(SplitOptions, values["split"]), model=one(models, models.ModelOptions, values["model"]),
        train=build(TrainOptions, values["train"]), attack=SimpleNamespace(chosen={}),
        defence=one(defences, defences.DefenceOptions, values["defence"]),
        attacker=build(AttackerOptions, values["attacker"]), engine=None,
        shadow_data=one(shadow_data, shadow_data.ShadowDataOptions, values["shadow_data"]),
    ))  # fmt: skip


def build(kind: type, given: dict[str, Any]) -> Any:
    found = {}
    for field in dataclasses.fields(kind):
        if field.name in given:
            value = given[field.name]
            factory = field.default_factory
            if factory is not dataclasses.MISSING and dataclasses.is_dataclass(factory):
                value = build(factory, value or {})
            found[field.name] = math.inf if value == "inf" else value
    return kind(**found)
