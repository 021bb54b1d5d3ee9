"""Models by name: what can be chosen about each, what records it takes, and how it is built. Loads no JAX.

`@model` enters one; an installed package adds one through an entry point of the group `mia.models`. The networks of our
own lie in `mia.models.networks`. Knows nothing of training or of attacks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from mia.checks import RequestError
from mia.registry import Registry

__all__ = ["MODELS", "ModelKind", "ModelOptions", "check_fits", "model", "model_kind", "tells_insides"]

Build = Callable[..., Any]
"""(options, shape, num_classes, rngs) -> a Flax nnx module; `shape` is that of one record."""
Function = TypeVar("Function", bound=Build)


@dataclass
class ModelOptions:
    """A model by name; the subclasses hold what each kind lets one choose."""

    name: str


@dataclass(frozen=True)
class ModelKind:
    """What is known of a kind of model."""

    name: str
    options: type
    build: Build
    takes: Literal["records", "pictures"]
    mixes: Callable[[Any], str]  # options -> what makes it mix the records of a batch, or nothing
    tells_norms: bool  # all its layers heed `training.probe`, see `networks.record_gradients`
    records_at_once: int = 0  # in training on a CPU, where a batch may be divided; 0: all
    version: int = 1


MODELS: Registry[ModelKind] = Registry("model", "mia.models", "mia.models")


def model(
    name: str,
    *,
    options: type,
    takes: Literal["records", "pictures"] = "records",
    mixes: Callable[[Any], str] | bool = False,
    tells_norms: bool = False,
    records_at_once: int = 0,
    version: int = 1,
) -> Callable[[Function], Function]:
    """Enter a model: stands on its builder, (options, shape, num_classes, rngs) -> a Flax nnx module.

    The module is called as `module(x)` with x [B *shape], or as `module(x, training)` where it names that argument:
    `mia.models.networks.layers.Training` while it trains, else None.

    Args:
        name: What it is called in configs.
        options: A dataclass with a default for every field.
        takes: `pictures` [height width channels] alone, or `records` of any shape.
        mixes: Whether records of a batch influence one another, as under batch normalisation; a function of the options
            gives what makes it so, such as `model.norm='batch'`, or an empty string.
        tells_norms: All its layers with parameters heed `training.probe`; DP-SGD is slower without.
        records_at_once: How many records of a batch go through it at once on a CPU, so many that what it keeps of them
            stays in the caches; 0: the whole batch. `engine.tune=auto` tries others.
        version: Raised when the same options build another network: models of an older one are not used again.
    """

    def enter(build: Function) -> Function:
        if not hasattr(options, "name"):
            options.name = name  # type: ignore[attr-defined]  # so that an instance says what it is
        says = mixes if callable(mixes) else lambda _: f"model={name}" if mixes else ""
        kind = ModelKind(name, options, build, takes, says, tells_norms, records_at_once, version)
        MODELS.add(name, kind, build.__module__, options)
        return build

    return enter


def model_kind(options: Any) -> ModelKind:
    """Return the kind of model that options describe.

    Raises:
        RequestError: it is not known.
    """
    return MODELS[options.name]


def tells_insides(options: Any) -> bool:
    """Tell whether a model can be looked into: its layers heed a probe, and records do not influence one another."""
    kind = model_kind(options)
    return kind.tells_norms and not kind.mixes(options)


def check_fits(options: Any, shape: tuple[int, ...]) -> None:
    """Check that a model can take records of this shape.

    Raises:
        RequestError: the model takes pictures and the records are none.
    """
    if model_kind(options).takes == "pictures" and len(shape) != 3:
        wanted = "pictures [height width channels]"
        raise RequestError(f"model={options.name} takes {wanted}, not records of shape {list(shape)}; use model=mlp")
