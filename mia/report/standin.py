"""STAND-IN until `config.from_stored` and the `settings()` of options are merged; deleted then."""

import dataclasses
import math
from types import SimpleNamespace
from typing import Any

import yaml

from mia.settings import Setting, Strength, setting_of

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
        found = self.train.settings()
        if self.defence.name in OUTPUT:
            found.append(setting_of(self.defence, OUTPUT[self.defence.name], f"defence.{self.defence.name}"))
        return [one for one in found if one]


def from_stored(text: str) -> Stored:
    from mia.data import DATASETS
    from mia.defences import options as defences
    from mia.experiment.options import AttackerOptions
    from mia.models import MODELS
    from mia.shadow_data import options as shadow_data
    from mia.split.options import SplitOptions
    from mia.train.options import TrainOptions

    values = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506

    def one(module: Any, base: type, given: dict[str, Any]) -> Any:
        kinds = [k for k in vars(module).values() if isinstance(k, type) and issubclass(k, base) and k is not base]
        return build(next((k for k in kinds if k().name == given["name"]), base), given)

    def of(registry: Any, given: dict[str, Any]) -> Any:
        made = build(registry[given["name"]].options, given)
        return SimpleNamespace(**(vars(made) | {"name": given["name"]}))

    return Stored(Options(
        seed=values["seed"], data=of(DATASETS, values["data"]),
        split=build(SplitOptions, values["split"]), model=of(MODELS, values["model"]),
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
