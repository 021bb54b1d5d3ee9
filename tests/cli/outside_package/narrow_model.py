"""A model of another package: one hidden layer."""

from dataclasses import dataclass
from math import prod

from mia.models import model


@dataclass
class NarrowOptions:
    """As narrow as one likes."""

    hidden: int = 4


@model("narrow", options=NarrowOptions)
def narrow(options: NarrowOptions, shape, num_classes, rngs):
    from flax import nnx

    class Narrow(nnx.Module):
        def __init__(self):
            self.first = nnx.Linear(prod(shape), options.hidden, rngs=rngs)
            self.last = nnx.Linear(options.hidden, num_classes, rngs=rngs)

        def __call__(self, x):
            return self.last(nnx.tanh(self.first(x.reshape(len(x), -1))))

    return Narrow()
