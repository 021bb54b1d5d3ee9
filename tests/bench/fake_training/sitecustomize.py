"""Put this folder on PYTHONPATH, and every `mia` below fakes its training: no JAX, answers out of a hat, time at will.

A model takes `train.test_records` x $FAKE_EPOCH_SECONDS (default 0), as if those were its epochs: real epochs would be
one training for all. Everything else is as it is: locks, pools, attacks, metrics, the store of runs.
"""

import importlib.abc
import importlib.machinery
import os
import sys
import time

PATCHES = {}


def patch(module):
    """Note a function that changes a module once it is imported."""

    def note(function):
        PATCHES[module] = function
        return function

    return note


@patch("mia.cli.job")
def without_jax(module):
    module._prepare_jax = lambda: None


@patch("mia.experiment.training")
def without_training(module):
    import numpy as np

    def train(places, given, split, models, last, observe, told):
        from mia.experiment.observer import Step
        from mia.store import CURVES

        seconds = float(os.environ.get("FAKE_EPOCH_SECONDS", "0"))
        classes, length = given.asked.num_classes, places.options.train.test_records
        for done, one in enumerate(models):
            for epoch in range(length if seconds else 0):
                text = f"train: model {done + 1} of {len(models)}, epoch {epoch + 1}/{length}"
                observe(Step(text, done + epoch / length, len(models)))
                time.sleep(seconds)
            chance = np.random.default_rng([places.options.seed, one.row])
            logits = chance.normal(size=(len(given.asked.x), classes)).astype(np.float32)
            members = split.members_of(one.row)
            logits[members, given.asked.y[members]] += 2
            for epochs in one.kept:
                curves = {name: np.zeros(epochs, np.float32) for name in CURVES}
                trained = module.TrainedModel({"w": np.zeros(1, np.float32)}, curves, logits)
                places.pool(one.row, epochs).save(one.row, trained)

    module._train = train


class Finder(importlib.abc.MetaPathFinder):
    """Lets the patches follow the import of their modules."""

    def find_spec(self, name, path, target=None):  # noqa: ARG002 - as Python calls it
        """Return the spec of a module that is patched."""
        if name not in PATCHES:
            return None
        change = PATCHES.pop(name)
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            change(module)

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, Finder())
