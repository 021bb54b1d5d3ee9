"""From configs to dataclasses: numerics never see a DictConfig.

Takes what Hydra composed; gives checked dataclasses and plain mappings. The schemas of all groups are listed here, so
that a misspelt key, a wrong type or an unknown name is an error before anything runs.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, make_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from omegaconf import MISSING, DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mia.attacks import ATTACKS
from mia.attacks.options import AttackOptions, attack_schema, from_schema
from mia.checks import RequestError, at_least, did_you_mean
from mia.data import DATASETS, DataOptions
from mia.defences import DEFENCES, DefenceOptions
from mia.experiment.options import AttackerOptions, BoundOptions, ExperimentOptions
from mia.limits import LimitOptions
from mia.models import MODELS, ModelOptions
from mia.shadow_data import options as shadow_data_options
from mia.shadow_data.options import ShadowDataOptions
from mia.split import SplitOptions
from mia.tracking.options import TrackingOptions
from mia.train.options import EngineOptions, TrainOptions

if TYPE_CHECKING:
    from mia.stored import Stored

    AttackSchema = AttackOptions  # what `to_options` makes of it
else:
    AttackSchema = attack_schema()


@dataclass
class Config:
    """The whole config of `mia`: one experiment, where it is tracked, and whether it may be run again."""

    seed: int = 0
    data: DataOptions = MISSING
    split: SplitOptions = field(default_factory=SplitOptions)
    shadow_data: ShadowDataOptions = MISSING
    model: ModelOptions = MISSING
    train: TrainOptions = field(default_factory=TrainOptions)
    defence: DefenceOptions = MISSING
    attacker: AttackerOptions = field(default_factory=AttackerOptions)
    attack: AttackSchema = field(default_factory=AttackSchema)
    engine: EngineOptions = field(default_factory=EngineOptions)
    tracking: TrackingOptions = field(default_factory=TrackingOptions)
    audit: BoundOptions = field(default_factory=BoundOptions)
    limit: LimitOptions = field(default_factory=LimitOptions)
    rerun: bool = False
    dry_run: bool = False  # say what would be done, and do nothing
    stop_after_failures: int = 0  # of a sweep's configurations; 0: go on whatever fails

    def __post_init__(self) -> None:
        at_least("stop_after_failures", self.stop_after_failures, 0)

    def experiment(self) -> ExperimentOptions:
        """Return the part that an experiment is made of."""
        shared = {one.name: getattr(self, one.name) for one in fields(ExperimentOptions)}
        return ExperimentOptions(**shared)


@dataclass
class AuditOptions:
    """What is audited, in the words of who asks, and on what terms it is judged."""

    model: str = ""
    data: str = ""
    delta: float = 1e-5  # of the guarantee that bounds on epsilon test
    confidence: float = 0.95  # of those bounds
    group_score: str = "mean"  # how the scores of a group's records become one: mean, sum or max


@dataclass
class AuditConfig:
    """The config of `mia audit`: predictions that any program made, and the attacks on them."""

    signals: str | None = None  # a file of arrays, or
    plan: str | None = None  # who trained on what, with
    predictions: str | None = None  # a folder of one file per model, and
    labels: str | None = None  # the records' classes; or
    scores: str | None = None  # a file of scores made elsewhere
    kind: str = "logits"  # of the predictions: logits, probabilities or losses
    out: str = MISSING
    seed: int = 0
    audit: AuditOptions = field(default_factory=AuditOptions)
    attack: AttackSchema = field(default_factory=AttackSchema)
    limit: LimitOptions = field(default_factory=LimitOptions)
    tracking: TrackingOptions = field(default_factory=TrackingOptions)


@dataclass
class PlanConfig:
    """The config of `mia plan`: who trains on what."""

    records: int = MISSING
    split: SplitOptions = field(default_factory=SplitOptions)
    seed: int = 0
    out: str = "plan.npz"
    labels: str | None = None  # a file of the true labels, where split.mislabel=true gives canaries wrong ones
    framework: str | None = None  # torch, keras, sklearn or xgboost: print the code that trains by the plan


@dataclass
class UiConfig:
    """The config of `mia ui`."""

    port: int = 5000
    host: str = "127.0.0.1"
    open: bool = False  # a browser, too
    tracking: TrackingOptions = field(default_factory=TrackingOptions)


@dataclass
class ReportConfig:
    """The config of `mia report`: sweeps, each the latest of a name or a run by id, or one run."""

    sweep: str | None = None  # several with commas between
    run: str | None = None  # a run's id, or how it begins
    where: str | None = None  # which runs count, such as train.dropout < 0.5
    pictures: bool = False  # write the figures as PNG and PDF, too
    out: str = "report"
    tracking: TrackingOptions = field(default_factory=TrackingOptions)


@dataclass
class PoolsConfig:
    """The config of `mia pools` and `mia pools prune`."""

    prune: bool = False  # remove the pools that no run needs, after showing and asking
    yes: bool = False  # do not ask
    tracking: TrackingOptions = field(default_factory=TrackingOptions)


@dataclass
class RunsConfig:
    """The config of `mia runs`."""

    sweep: str | None = None  # the runs that count in it: a sweep's name or id
    where: str | None = None  # which runs count, such as split.size=2500 and train.l2>0
    sort: str | None = None  # a config key or a metric; -KEY for the largest first
    columns: str | None = None  # config keys and metrics, with commas between
    limit: int | None = None  # at most so many; left out: 20 in a table, else all
    format: str = "table"  # table, csv or json
    tracking: TrackingOptions = field(default_factory=TrackingOptions)


@dataclass
class StatusConfig:
    """The config of `mia status`."""

    sweep: str | None = None  # a sweep's name or id; left out: those in progress, else the last
    tracking: TrackingOptions = field(default_factory=TrackingOptions)


@dataclass
class DiffConfig:
    """The config of `mia diff A B`."""

    a: str | None = None
    b: str | None = None
    tracking: TrackingOptions = field(default_factory=TrackingOptions)


@dataclass
class NoteConfig:
    """The config of `mia note RUN text=...`."""

    run: str | None = None
    text: str | None = None  # empty text takes the note away; left out: it is shown
    tracking: TrackingOptions = field(default_factory=TrackingOptions)


@dataclass
class RmConfig:
    """The config of `mia rm RUN`."""

    run: str | None = None
    yes: bool = False  # do not ask
    tracking: TrackingOptions = field(default_factory=TrackingOptions)


GROUPS: dict[str, tuple[type, Callable[[], dict[str, type]]]] = {
    "data": (DataOptions, lambda: {name: entry.options for name, entry in DATASETS.items()}),
    "model": (ModelOptions, lambda: {name: entry.options for name, entry in MODELS.items()}),
    "defence": (DefenceOptions, lambda: {name: entry.options for name, entry in DEFENCES.items()}),
    "shadow_data": (ShadowDataOptions, lambda: _classes(shadow_data_options, ShadowDataOptions)),
}
"""Of each group whose choice has options of its own: what these have in common, and the options by name."""


def _classes(module: Any, base: type) -> dict[str, type]:
    found = [node for node in vars(module).values() if isinstance(node, type) and issubclass(node, base)]
    return {str(_default(node, "name")): node for node in found if node is not base}


def _default(node: type, name: str) -> Any:
    return next((one.default for one in fields(node) if one.name == name), "")


@cache
def options_of(group: str) -> dict[str, type]:
    """Return the options of a group's choices by name, as Hydra needs them: with a field that holds the name.

    An outside package's dataclass need know nothing of that; it is extended here.
    """
    base, known = GROUPS.get(group, (object, dict))
    return {
        name: node if issubclass(node, base) and _default(node, "name") == name else _named(name, node, base)
        for name, node in known().items()
    }


def _named(name: str, node: type, base: type) -> type:
    bases = (node,) if issubclass(node, base) else (node, base)
    made = make_dataclass(node.__name__, [("name", str, field(default=name))], bases=bases)
    made.__module__, made.__doc__ = node.__module__, node.__doc__
    return made


NODES = {
    "config": Config, "audit": AuditConfig, "ui": UiConfig, "report": ReportConfig, "plan": PlanConfig, "rm": RmConfig,
    "pools": PoolsConfig, "runs": RunsConfig, "status": StatusConfig, "diff": DiffConfig, "note": NoteConfig,
}  # fmt: skip
"""The schema of each config, by its name in `conf/`."""


def schemas(config: str = "config") -> Iterator[tuple[str, str, Any]]:
    """Yield group, name and node of all that a config needs: its schema, and the choices that may have no YAML file."""
    yield "schema", config, NODES[config]
    for group in GROUPS if config == "config" else ():
        for name, options in options_of(group).items():
            yield f"schema/{group}", name, options
            yield group, name, options
    for name, spec in ATTACKS.items() if config in ("config", "audit") else ():
        yield "attack", name, {name: spec.options}


def to_options(composed: DictConfig, kind: type) -> Any:
    """Return the dataclass that a composed config describes.

    Raises:
        RequestError: an unknown key, a missing or impossible value.
    """
    refuse_unknown(composed, kind)
    return kind(**{one.name: to_part(composed, one.name) for one in fields(kind)})


def to_part(composed: DictConfig, name: str) -> Any:
    """Return one field of the dataclass that a composed config describes.

    Raises:
        RequestError: an unknown key, a missing or impossible value.
    """
    if OmegaConf.is_missing(composed, name):
        raise RequestError(f"{name} is not given: add {name}=...")
    if name not in composed:
        raise RequestError(f"~{name}: a key cannot be taken away; {name}=VALUE sets another value")
    try:
        value = composed[name]
        if not isinstance(value, DictConfig | ListConfig):
            return value
        if isinstance(value, DictConfig):
            if is_dataclass(inner := OmegaConf.get_type(value)):
                refuse_unknown(value, inner, f"{name}.")
            for key in OmegaConf.missing_keys(value):
                raise RequestError(f"{name}.{key} is not given: add {name}.{key}=...")
        found = OmegaConf.to_object(value)
        return from_schema(found) if name == "attack" else found
    except OmegaConfBaseException as error:
        if isinstance(error.__cause__, RequestError):
            raise error.__cause__ from None
        raise RequestError(explain_value_error(error)) from error


def refuse_unknown(node: DictConfig, kind: type, prefix: str = "") -> None:
    """Refuse keys that no dataclass has, by a `RequestError`: an override with + gets past OmegaConf's own check."""
    known = [f"{prefix}{one.name}" for one in fields(kind)]
    for name in map(str, node):
        key = f"{prefix}{name}"
        if key not in known:
            meant = did_you_mean(key, known if prefix else [*known, "sweeps"])
            raise RequestError(f"{key} is not a config key{meant or '; known: ' + ', '.join(known)}")
        value = None if OmegaConf.is_missing(node, name) or OmegaConf.is_interpolation(node, name) else node[name]
        if prefix and isinstance(value, DictConfig) and is_dataclass(inner := OmegaConf.get_type(value)):
            refuse_unknown(value, inner, f"{key}.")


def from_stored(text: str) -> "Stored":
    """Return the options that a run's `config.yaml` describes, whatever version of this package wrote it.

    Raises:
        RequestError: it is no config at all.
    """
    from mia.stored import Schema, rebuild

    return rebuild(text, Schema(Config, GROUPS, options_of))


def flat(composed: DictConfig) -> dict[str, str | int | float | bool | None]:
    """Return every value under its dotted key; lists are joined with commas, absent attacks are left out."""
    return dict(_walk("", composed))


def keys(composed: DictConfig) -> list[str]:
    """Return the dotted keys of all values and groups, for suggestions."""
    return [key for key, _ in _walk("", composed, groups=True)]


def as_yaml(composed: DictConfig) -> str:
    """Return the resolved config as YAML."""
    return OmegaConf.to_yaml(composed, resolve=True)


def yaml_of(values: Mapping[str, Any]) -> str:
    """Return plain values as YAML."""
    return OmegaConf.to_yaml(OmegaConf.create(dict(values)))


def _walk(prefix: str, node: Any, *, groups: bool = False) -> Iterator[tuple[str, Any]]:
    for key in node:
        name, value = f"{prefix}{key}", None if OmegaConf.is_missing(node, key) else node[key]
        if isinstance(value, DictConfig):
            if groups or not len(value):
                yield name, True
            yield from _walk(f"{name}.", value, groups=groups)
        elif isinstance(value, ListConfig):
            yield name, ",".join(map(str, value))
        elif value is not None or groups:
            yield name, value


def explain_value_error(error: BaseException) -> str | None:
    """Return one line for an error that OmegaConf raised about a key or a value, or None for any other error."""
    if not isinstance(error, OmegaConfBaseException):
        return None
    key = getattr(error, "full_key", None)
    message = " ".join(str(getattr(error, "msg", None) or error).split("\n")[0].split())
    return f"{key}: {message}" if key and key not in message else message
