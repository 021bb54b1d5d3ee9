"""The wide residual network (Zagoruyko and Komodakis 2016), by name."""

from dataclasses import dataclass
from typing import Any

from mia.checks import RequestError, at_least, one_of
from mia.models import ModelOptions, model

NORMS = ("group", "batch")


@dataclass
class WideResnetOptions(ModelOptions):
    """A wide residual network (Zagoruyko and Komodakis 2016), WRN-depth-width."""

    name: str = "wide_resnet"
    depth: int = 28  # 6 k + 4
    width: int = 2
    norm: str = "group"  # batch: running statistics, so that a record's logits never depend on others in evaluation

    def __post_init__(self) -> None:
        at_least("model.width", self.width, 1)
        one_of("model.norm", self.norm, NORMS)
        if self.depth < 10 or (self.depth - 4) % 6:
            raise RequestError(f"model.depth={self.depth!r} must be 10, 16, 22, 28 ... (6 k + 4)")


def what_mixes(options: WideResnetOptions) -> str:
    """Return what makes the records of a batch influence one another, or nothing."""
    return "model.norm='batch' (unlike 'group')" if options.norm == "batch" else ""


@model(
    "wide_resnet", options=WideResnetOptions, takes="pictures", mixes=what_mixes, tells_norms=True, records_at_once=8
)
def wide_resnet(options: WideResnetOptions, shape: tuple[int, ...], num_classes: int, rngs: Any) -> Any:
    """Return a fresh network."""
    from mia.models.networks.residual import WideResnet

    return WideResnet(options.depth, options.width, options.norm, shape, num_classes, rngs)
