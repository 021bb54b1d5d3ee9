"""Measures the engine on a GPU, in under five minutes; prints one JSON line per figure, the most telling first.

python tests/bench/gpu.py [--only cnn dp ...] [--minutes 4.5] [--small]

Needs JAX, Flax, Optax and what `mia.train` and `mia.attacks` import, but neither Hydra nor MLflow nor a network. What
there is no time for is named in a line of its own, and so is what fails. Rates are samples per second of all models
together over the fastest epoch, compilation apart; `seconds` hold it. `--small` tries the logic on any machine.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from train import OPTIONS, by_convolution, rows_of, synthetic, train

from mia.models.options import WideResnetOptions
from mia.train.defence_options import DpOptions
from mia.train.options import TrainOptions

PRIVATE = DpOptions(noise_multiplier=1.0, clipping_norm=1.0)
TOLERANCE = 1e-3  # of the distance between two machines' parameters, as a share of their length
Line = dict[str, Any]


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    cnn: dict[int, int]  # models -> epochs
    mlp: dict[int, int]
    dp: int  # models
    wide: tuple[int, ...]
    wide_model: WideResnetOptions
    records: int  # members of a CNN
    pool: tuple[int, int, int]  # models, members, epochs
    one_by_one: int  # epochs in PyTorch


FULL = Sizes(
    cnn={1: 40, 11: 20, 66: 10, 100: 8},
    mlp={1: 200, 10: 200, 100: 200},
    dp=16,
    wide=(1, 16),
    wide_model=WideResnetOptions(),
    records=2500,
    pool=(16, 25_000, 10),
    one_by_one=3,
)
SMALL = Sizes(
    cnn={1: 2, 2: 1},
    mlp={2: 2},
    dp=1,
    wide=(1,),
    wide_model=WideResnetOptions(depth=10, width=1),
    records=64,
    pool=(4, 64, 1),
    one_by_one=1,
)


def equal(sizes: Sizes) -> Iterator[Line]:
    """Compare what 20 steps make of the same parameters here and on the CPU, in full single precision."""
    import jax

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "parameters.npz"
        there = os.environ | {"JAX_PLATFORMS": "cpu", "MIA_CORES": "1"}
        size = ["--small"] if sizes is SMALL else []
        with subprocess.Popen([sys.executable, __file__, *size, "--keep", str(path)], env=there) as cpu:
            here = twenty_steps(sizes)
            if cpu.wait():
                raise RuntimeError("training on the CPU failed")
        with np.load(path) as file:
            for kind, parameters in here.items():
                other = file[kind]
                distance = float(np.linalg.norm(parameters - other) / np.linalg.norm(other))
                yield {
                    "model": kind,
                    "on": jax.default_backend(),
                    "distance": distance,
                    "largest_difference": float(np.abs(parameters - other).max()),
                    "is_equal": distance < TOLERANCE,
                }


def twenty_steps(sizes: Sizes) -> dict[str, np.ndarray]:
    """Return all parameters of one model of each kind after 20 steps, as one vector each."""
    import jax

    plain, private = TrainOptions(epochs=1, test_records=0), TrainOptions(epochs=1, test_records=0, dp=PRIVATE)
    small = WideResnetOptions(depth=10, width=1)
    kinds: dict[str, tuple[str, TrainOptions, object]] = {"cnn": ("cnn", plain, None), "mlp": ("mlp", plain, None)}
    kinds |= {"cnn_dp": ("cnn", private, None), "wide_resnet": ("wide_resnet", plain, small)}
    if sizes is SMALL:
        kinds = {name: kinds[name] for name in ("cnn", "mlp")}
    found = {}
    with jax.default_matmul_precision("highest"):
        for name, (kind, options, model) in kinds.items():
            (one,), _, _ = train(kind, 1, 20 * options.batch_size, options, model=model)
            found[name] = np.concatenate([np.ravel(one.parameters[key]) for key in sorted(one.parameters)])
    return found


def rates(kind: str, models: dict[int, int], size: int, dp: DpOptions | None = None, **given: Any) -> Iterator[Line]:
    """Train so many models side by side for so many epochs each."""
    import jax

    for count, epochs in models.items():
        options = TrainOptions(epochs=epochs, test_records=0, dp=dp or DpOptions())
        begun = time.perf_counter()
        trained, rate, _ = train(kind, count, size, options, str(count), **given)
        yield {
            "model": kind,
            "models": count,
            "samples_per_second": round(rate),
            "last_loss": round(float(np.mean([one.train_loss[-1] for one in trained])), 4),
            "seconds": round(time.perf_counter() - begun, 1),
            "peak_mib": round((jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0) / 2**20),
        }


def cnn(sizes: Sizes) -> Iterator[Line]:
    """Train CNNs side by side."""
    return rates("cnn", sizes.cnn, sizes.records)


def mlp(sizes: Sizes) -> Iterator[Line]:
    """Train multilayer perceptrons side by side."""
    return rates("mlp", sizes.mlp, 1200)


def private(sizes: Sizes) -> Iterator[Line]:
    """Train CNNs by DP-SGD side by side."""
    return rates("cnn", {sizes.dp: 2}, sizes.records, PRIVATE)


def wide(sizes: Sizes) -> Iterator[Line]:
    """Train wide residual networks, with our convolution."""
    return rates("wide_resnet", dict.fromkeys(sizes.wide, 3), min(sizes.records, 640), model=sizes.wide_model)


def vendor(sizes: Sizes) -> Iterator[Line]:
    """Train with the vendor's convolution in place of ours."""
    with by_convolution("vendor"):
        yield from rates("cnn", dict(list(sizes.cnn.items())[-2:-1]), sizes.records)
        yield from wide(sizes)


def memory(sizes: Sizes) -> Iterator[Line]:
    """Tell what a model takes, and how many fit side by side."""
    import jax

    from mia.models.networks.network import Network
    from mia.train.devices import mesh, place_shared
    from mia.train.hooks import Defences, Strengths
    from mia.train.sharded import SHARE, bytes_needed
    from mia.train.state import Model, Plan, Records

    on, data = mesh(), synthetic("cnn", 2 * sizes.records)
    records = Records(place_shared(data.x, on), place_shared(data.y, on))
    options = TrainOptions(test_records=0)
    members, test = np.zeros(sizes.records, np.int32), np.zeros(0, np.int32)
    model: Any = Model(members, test, np.uint32(0), Strengths.of(options), {})  # type: ignore[arg-type]
    plan = Plan(Network(OPTIONS["cnn"], data.x.shape[1:], 10), data.scale, 32, Defences.of(options))
    few, many = min(sizes.cnn), max(sizes.cnn)
    needed = {count: bytes_needed(plan, on, count, records, model) for count in (few, many)}
    each = (needed[many] - needed[few]) / (many - few)
    limit = (jax.devices()[0].memory_stats() or {}).get("bytes_limit", 0)
    yield {
        "model": "cnn",
        "mib_per_model": round(each / 2**20, 2),
        "limit_mib": round(limit / 2**20),
        "models_that_fit": int((limit * SHARE - needed[few]) // each + few) if limit else None,
    }


def pool(sizes: Sizes) -> Iterator[Line]:
    """Run one pool of models through training, answers to all records, and LiRA."""
    from sklearn.metrics import roc_auc_score

    from mia.attacks import run_attack
    from mia.attacks.lira import LiraOnlineOptions
    from mia.records import Signals
    from mia.train.predict import predict

    count, size, epochs = sizes.pool
    begun = time.perf_counter()
    trained, rate, training = train("cnn", count, size, TrainOptions(epochs=epochs, test_records=0))
    data, (members, _) = synthetic("cnn", 2 * size), rows_of(count, size)
    trained_by = time.perf_counter()
    logits = np.stack([predict(OPTIONS["cnn"], one.parameters, data.x, data.scale, 10) for one in trained])
    answered_by = time.perf_counter()
    membership = np.zeros((count, 2 * size), np.int8)
    np.put_along_axis(membership, members, 1, axis=1)
    own, everyone = np.ones((count - 1, 2 * size), bool), np.ones(2 * size, bool)
    signals = Signals(data.y, everyone, logits[0], logits[1:], membership[1:], own)
    scores = run_attack("lira_online", signals, LiraOnlineOptions(), seed=0).score
    ended, is_scored = time.perf_counter(), ~np.isnan(scores)
    yield {
        "models": count,
        "members": size,
        "epochs": epochs,
        "samples_per_second": round(rate),
        "training_seconds": round(training, 1),
        "answers_seconds": round(answered_by - trained_by, 1),
        "attack_seconds": round(ended - answered_by, 1),
        "seconds": round(ended - begun, 1),
        "auc": round(float(roc_auc_score(membership[0][is_scored], scores[is_scored])), 3),
    }


def torch_loop(sizes: Sizes) -> Iterator[Line]:
    """Train one model in a plain PyTorch loop, as most people write it."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    for kind, size in (("cnn", sizes.records), ("mlp", 1200)):
        data = synthetic(kind, size)
        x = torch.tensor(data.x, dtype=torch.float32, device=device) * data.scale
        y = torch.tensor(data.y, dtype=torch.int64, device=device)
        net = torch_model(kind).to(device)
        x = x.permute(0, 3, 1, 2).contiguous() if kind == "cnn" else x
        optimiser, times = torch.optim.Adam(net.parameters(), 1e-3), []
        for _ in range(sizes.one_by_one):
            begun = time.perf_counter()
            for rows in torch.randperm(size, device=device).split(32):
                optimiser.zero_grad()
                loss = torch.nn.functional.cross_entropy(net(x[rows]), y[rows])
                loss.backward()
                optimiser.step()
            float(loss)  # waits for the device
            times.append(time.perf_counter() - begun)
        yield {"model": kind, "models": 1, "on": device, "samples_per_second": round(size / min(times))}


def torch_model(kind: str) -> Any:
    """Return a network like ours."""
    from torch import nn

    if kind == "mlp":
        return nn.Sequential(nn.Linear(446, 128), nn.Tanh(), nn.Linear(128, 30))
    first = [nn.Conv2d(3, 32, 5), nn.Tanh(), nn.MaxPool2d(2)]
    second = [nn.Conv2d(32, 32, 3), nn.Tanh(), nn.MaxPool2d(2)]
    return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(1152, 128), nn.Tanh(), nn.Linear(128, 10))


FIGURES: dict[str, Callable[[Sizes], Iterator[Line]]] = {
    "equal": equal,
    "cnn": cnn,
    "mlp": mlp,
    "torch": torch_loop,
    "dp": private,
    "wide_resnet": wide,
    "memory": memory,
    "pool": pool,
    "vendor": vendor,
}


def main() -> None:
    begun = time.perf_counter()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=FIGURES, default=list(FIGURES))
    parser.add_argument("--minutes", type=float, default=4.5, help="no figure is begun after these")
    parser.add_argument("--small", action="store_true", help="try the logic on any machine")
    parser.add_argument("--keep", type=Path, help="do 20 steps, keep the parameters in this file and end")
    chosen = parser.parse_args()
    sizes = SMALL if chosen.small else FULL

    import jax

    from mia.train import devices

    devices.prepare(Path(tempfile.mkdtemp()))
    if chosen.keep:
        np.savez(chosen.keep, **twenty_steps(sizes))
        return

    def tell(figure: str, line: Line) -> None:
        print(json.dumps({"figure": figure, **line, "at": round(time.perf_counter() - begun, 1)}), flush=True)

    tell("machine", {"device": jax.devices()[0].device_kind, "devices": len(jax.devices()), "jax": jax.__version__})
    for figure in chosen.only:
        if time.perf_counter() - begun > 60 * chosen.minutes:
            tell(figure, {"skipped": "no time is left"})
            continue
        try:
            for line in FIGURES[figure](sizes):
                tell(figure, line)
        except ModuleNotFoundError as error:
            tell(figure, {"skipped": str(error)})
        except Exception as error:  # noqa: BLE001  # the figures that follow are worth having all the same
            tell(figure, {"failed": f"{type(error).__name__}: {error}"[:500]})


if __name__ == "__main__":
    main()
