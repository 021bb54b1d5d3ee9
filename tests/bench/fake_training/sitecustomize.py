"""Put this folder on PYTHONPATH, and every `mia` below fakes its training: no JAX, answers out of a hat, time at will.

A model takes `train.epochs` x $FAKE_EPOCH_SECONDS (default 0). Everything else is as it is: locks, pools, attacks,
metrics, the store of runs.
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


@patch("mia.experiment.pools")
def without_training(module):
    import numpy as np

    def train(options, given, split, models, todo, observe, told):
        seconds = float(os.environ.get("FAKE_EPOCH_SECONDS", "0"))
        classes, epochs = given.asked.num_classes, options.train.epochs
        for done, row in enumerate(todo):
            for epoch in range(epochs if seconds else 0):
                text = f"train: model {done + 1} of {len(todo)}, epoch {epoch + 1}/{epochs}"
                observe(module.Step(text, done + epoch / epochs, len(todo)))
                time.sleep(seconds)
            chance = np.random.default_rng([options.seed, row])
            logits = chance.normal(size=(len(given.asked.x), classes)).astype(np.float32)
            logits[split.members_of(row), given.asked.y[split.members_of(row)]] += 2
            curves = {name: np.zeros(epochs if not seconds else 1, np.float32) for name in module.CURVES}
            models[row].save(row, module.TrainedModel({"w": np.zeros(1, np.float32)}, curves, logits))

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
