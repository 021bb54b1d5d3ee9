"""The study's convolutional network, by name."""

from dataclasses import dataclass
from typing import Any

from mia.models import ModelOptions, model


@dataclass
class CnnOptions(ModelOptions):
    """The study's convolutional network: 160,554 parameters on 32x32x3 pictures of 10 classes."""

    name: str = "cnn"


@model("cnn", options=CnnOptions, takes="pictures", tells_norms=True, records_at_once=8)
def cnn(options: CnnOptions, shape: tuple[int, ...], num_classes: int, rngs: Any) -> Any:
    """Return a fresh network."""
    from mia.models.networks.convolutional import Cnn

    del options
    return Cnn(shape, num_classes, rngs)
