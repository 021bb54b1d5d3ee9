"""A package outside adds defences in training and models: one module each and an entry point."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEFENCES = '''
"""Two defences: one changes the loss of each record, one the gradient."""
from dataclasses import dataclass

from mia.checks import non_negative
from mia.train.defences import Number, Strength, TrainDefence, train_defence


@train_defence("focal", options=Number())
class Focal(TrainDefence):
    """The focal loss (Lin et al. 2017): records that are well answered count less."""

    strength = Strength("focal loss", symbol="gamma =")

    def record_losses(self, step, losses, logits):
        import jax.numpy as jnp

        return losses * (1 - jnp.exp(-losses)) ** step.given


@dataclass
class SprinkleOptions:
    """Noise on every gradient."""

    scale: float = 0.0  # standard deviation
    only_kernels: bool = False

    def __post_init__(self):
        non_negative("train.sprinkle.scale", self.scale)


@train_defence("sprinkle", options=SprinkleOptions)
class Sprinkle(TrainDefence):
    strength = Strength("gradient noise", "scale")

    def gradient(self, step, gradient):
        import jax

        def noisy(path, leaf):
            if step.given.only_kernels and "kernel" not in jax.tree_util.keystr(path):
                return leaf
            return leaf + step.given.scale * jax.random.normal(step.key, leaf.shape)

        return jax.tree_util.tree_map_with_path(noisy, gradient)
'''
MODEL = '''
"""A plain Flax network, as Flax's own guide would write it."""
from dataclasses import dataclass

from flax import nnx

from mia.models import model


@dataclass
class TinyOptions:
    hidden: int = 8
    normalised: bool = False


class Tiny(nnx.Module):
    def __init__(self, options, inputs, outputs, rngs):
        self.first = nnx.Linear(inputs, options.hidden, rngs=rngs)
        self.last = nnx.Linear(options.hidden, outputs, rngs=rngs)
        self.norm = nnx.BatchNorm(options.hidden, rngs=rngs) if options.normalised else None

    def __call__(self, x):
        x = self.first(x.reshape(len(x), -1))
        return self.last(nnx.tanh(x if self.norm is None else self.norm(x)))


@model("tiny", options=TinyOptions, mixes=lambda options: "model.normalised=true" if options.normalised else "")
def tiny(options, shape, num_classes, rngs):
    size = 1
    for side in shape:
        size *= side
    return Tiny(options, size, num_classes, rngs)
'''
TRAIN = """
import json, sys
from dataclasses import replace
import numpy as np
from mia.checks import RequestError
from mia.models import MODELS
from mia.models.mlp import MlpOptions
from mia.records import Dataset
from mia.train import devices
from mia.train.options import TrainOptions
devices.prepare()
from mia.train.defences.dp import DpOptions
from mia.train.many import train_many
from mia.train.predict import predict

rng = np.random.default_rng(0)
y = rng.integers(0, 3, 60, dtype=np.int32)
data = Dataset("data", (rng.normal(size=(60, 5)) + y[:, None]).astype(np.float32), y, 3)
plain = TrainOptions(epochs=3, batch_size=8, learning_rate=0.01)

def train(options, model=MlpOptions(hidden=[6])):
    rows = np.arange(30)[None], np.arange(30, 60)[None]
    return next(train_many(data, *rows, np.zeros(1, np.uint32), model, [options]))

def digest(options, model=MlpOptions(hidden=[6])):
    return [value.tobytes().hex() for _, value in sorted(train(options, model).parameters.items())]

def refused(make):
    try:
        make()
    except RequestError as error:
        return str(error)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the packages and what installing them would leave."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "their_defences.py").write_text(DEFENCES)
    (folder / "their_model.py").write_text(MODEL)
    info = folder / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[mia.train_defences]\nfocal = their_defences\nsprinkle = their_defences\n[mia.models]\ntiny = their_model\n"
    )
    return folder


def run(code, *folders):
    """Return what code prints as JSON, run where these folders are installed."""
    path = os.pathsep.join(map(str, (ROOT, *folders)))
    done = subprocess.run(
        [sys.executable, "-c", TRAIN + code],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_outside_defences_train_and_at_strength_zero_are_none_at_all(installed):
    """Bit by bit what training is where the package is not installed."""
    found = run(
        """
sprinkle = type(plain.sprinkle)
options = {
    "zero": plain, "idle": replace(plain, sprinkle=sprinkle(0.0, True)), "focal": replace(plain, focal=2.0),
    "noise": replace(plain, sprinkle=sprinkle(0.3)), "kernels": replace(plain, sprinkle=sprinkle(0.3, True)),
}
both = replace(plain, focal=2.0, sprinkle=sprinkle(0.3), l2=1e-3)
private = DpOptions(1.0, 1.0)
print(json.dumps({
    "digests": {name: digest(one) for name, one in options.items()},
    "private": len(digest(replace(both, dp=private))),
    "settings": [(one.key, one.words) for one in both.settings()],
    "undefended": both.undefended() == plain,
    "effective": options["idle"].effective() == plain,
    "idle": options["idle"].idle(),
    "refused": refused(lambda: replace(plain, focal=-1.0)),
}))
""",
        installed,
    )
    digests = found["digests"]
    assert digests["zero"] == digests["idle"] == run("print(json.dumps(digest(plain)))")
    assert len({json.dumps(one) for one in digests.values()}) == 4
    assert found["private"] == 4
    assert found["settings"] == [
        ["train.l2", "L2 1e-3"], ["train.focal", "focal loss gamma = 2"], ["train.sprinkle", "gradient noise 0.3"],
    ]  # fmt: skip
    assert found["undefended"]
    assert found["effective"]
    assert found["idle"] == ["train.sprinkle.only_kernels=True does nothing: train.sprinkle.scale=0.0 switches it off"]
    assert found["refused"].startswith("train.focal=-1.0")


@pytest.mark.slow
def test_an_outside_model_trains_privately_too(installed):
    found = run(
        """
tiny = MODELS["tiny"].options
private = replace(plain, dp=DpOptions(clipping_norm=1e9, sampling="shuffled"))
one, other = train(plain, tiny()), train(private, tiny())
normal = train(plain, tiny(normalised=True))
ask = lambda x: predict(tiny(normalised=True), normal.parameters, x, 1.0, 3)
print(json.dumps({
    "loss": one.train_loss.tolist(),
    "same": all(np.allclose(value, other.parameters[name], atol=1e-4) for name, value in one.parameters.items()),
    "clipped": digest(replace(plain, dp=DpOptions(clipping_norm=0.1)), tiny()) != digest(private, tiny()),
    "statistics": [name for name in normal.parameters if name.startswith("norm.") and "bias" not in name],
    "moved": bool(normal.parameters["norm.mean"].any()),
    "alone": bool((ask(data.x[:1]) == ask(data.x)[:1]).all()),
    "refused": refused(lambda: train(private, tiny(normalised=True))),
}))
""",
        installed,
    )
    assert found["loss"][-1] < found["loss"][0]
    assert found["same"]
    assert found["clipped"]
    assert found["statistics"] == ["norm.scale", "norm.mean", "norm.var"]
    assert found["moved"]
    assert found["alone"]
    assert found["refused"] == "model.normalised=true mixes the records of a batch, which DP-SGD cannot bound"


@pytest.mark.slow
def test_their_keys_are_keys_of_the_command_like_any_other(installed):
    path = os.pathsep.join(map(str, (ROOT, installed)))
    command = [sys.executable, "-m", "mia", "--cfg", "job", "train.focal=2", "train.sprinkle.scale=0.5"]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "  focal: 2.0\n" in done.stdout
    assert "  sprinkle:\n    scale: 0.5\n    only_kernels: false\n" in done.stdout
