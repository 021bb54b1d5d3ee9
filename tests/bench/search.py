"""How much of a grid's front a search of 30 trials finds: a grid on digits that is trained in full, then replayed.

python tests/bench/search.py train tests/sweeper/digits_grid.csv     # 100 experiments, a few minutes of one core
python tests/bench/search.py replay tests/sweeper/digits_grid.csv    # ten seeds of each sampler, one JSON line each

Nothing of a replay is made up: a trial's outcome is what the grid's own training gave. The share is that of the grid's
hypervolume, which is measured from the worst accuracy and the worst leakage of the grid. `drawn` is what 30 points
drawn blindly and without repetition give.
"""

import argparse
import csv
import json
import statistics
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from hydra.core.override_parser.overrides_parser import OverridesParser

from mia.sweeper.objectives import SAMPLERS, Objectives
from mia.sweeper.space import Space, read_space
from mia.sweeper.study import Study

AXES = {
    "train.l2": ["0.0", "0.003", "0.01", "0.03", "0.1"],
    "train.dropout": ["0.0", "0.2", "0.4", "0.6", "0.8"],
    "split.size": ["60", "120", "240", "440"],
}
SHARED = ["data=digits", "model=mlp", "model.hidden=[64]", "train.epochs=100", "split.num_shadows=1", "attack=[loss]"]
SOUGHT = Objectives(("target/test_accuracy",), ("attack/loss/auc",))
TRIALS, SEEDS = 30, 10
Outcomes = Mapping[tuple[str, ...], tuple[float, float]]  # by the values of the axes: accuracy and leakage


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["train", "replay"])
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    if options.what == "train":
        train(options.file)
        return 0
    outcomes = read_outcomes(options.file)
    print(json.dumps({"sampler": "drawn", **told([drawn(outcomes, seed) for seed in range(SEEDS)])}))
    medians = []
    for sampler in SAMPLERS:
        found = told([replay(outcomes, sampler, seed) for seed in range(SEEDS)])
        medians.append(found["median"])
        print(json.dumps({"sampler": sampler, **found}))
    return 0 if medians[0] >= 0.95 else 1


def told(shares: Sequence[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(shares), 4),
        "least": round(min(shares), 4),
        "most": round(max(shares), 4),
    }


def grid_space() -> Space:
    overrides = [f"{key}={','.join(values)}" for key, values in AXES.items()]
    return read_space(OverridesParser.create().parse_overrides(overrides))


def train(file: Path) -> None:
    """Run the grid and write what came of it."""
    import itertools

    from mia.composition import compose_config
    from mia.config import Config, to_options
    from mia.data import load
    from mia.experiment.run import run_experiment
    from mia.store import PoolStore

    with tempfile.TemporaryDirectory() as folder, file.open("w", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([*AXES, *SOUGHT.metrics])
        for values in itertools.product(*AXES.values()):
            overrides = [f"{key}={value}" for key, value in zip(AXES, values, strict=True)]
            options = to_options(compose_config([*SHARED, *overrides]), Config).experiment()
            result = run_experiment(options, load(options.data), PoolStore(Path(folder)))
            writer.writerow([*values, *(f"{result.metrics[name]:.4f}" for name in SOUGHT.metrics)])
            out.flush()
            print(*values, file=sys.stderr)


def read_outcomes(file: Path) -> Outcomes:
    with file.open(newline="") as lines:
        rows = list(csv.reader(lines))[1:]
    return {tuple(row[: len(AXES)]): (float(row[-2]), float(row[-1])) for row in rows}


def replay(outcomes: Outcomes, sampler: str, seed: int, trials: int = TRIALS) -> float:
    """Return the share of the grid's hypervolume that a search finds."""
    space = grid_space()
    study, tried = Study.open(None, space, SOUGHT, sampler, seed), []
    while study.count() < trials:
        trial = study.ask()
        assert trial is not None
        spelt = space.spelt(trial.choices)
        tried.append(tuple(spelt[key] for key in AXES))  # numbers are spelt as in AXES
        study.tell(trial, outcomes[tried[-1]])
    assert len(set(tried)) == trials  # none twice
    return share(outcomes, tried)


def drawn(outcomes: Outcomes, seed: int) -> float:
    """Return the share that as many points give that are drawn without looking."""
    keys = sorted(outcomes)
    return share(outcomes, [keys[k] for k in np.random.default_rng(seed).permutation(len(keys))[:TRIALS]])


def share(outcomes: Outcomes, tried: Iterable[tuple[str, ...]]) -> float:
    everything = list(outcomes.values())
    worst = min(one[0] for one in everything), max(one[1] for one in everything)
    return hypervolume([outcomes[one] for one in tried], worst) / hypervolume(everything, worst)


def hypervolume(points: Iterable[tuple[float, float]], worst: tuple[float, float]) -> float:
    """Return the area between a front and the worst of everything: utility rises, leakage falls."""
    area, lowest = 0.0, worst[1]
    for accuracy, leakage in sorted(points, reverse=True):
        if leakage < lowest and accuracy > worst[0]:
            area += (accuracy - worst[0]) * (lowest - leakage)
            lowest = leakage
    return area


if __name__ == "__main__":
    sys.exit(main())
