"""Measures hill climbing on a target's confidence and prints one JSON line.

python tests/bench/synthesis.py --root FOLDER --records 10000

FOLDER holds the official file of Locations. The target is trained first, on 1,200 records; its training and the
compilation are not counted in seconds_synthesis.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", required=True)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=100)
    chosen = parser.parse_args()

    from mia.train import devices

    devices.prepare(Path(tempfile.mkdtemp()))
    from mia.attacks.options import AttackOptions
    from mia.data import load
    from mia.data.bits import LocationsOptions
    from mia.experiment.attacker import make_own_records, plan_split
    from mia.experiment.observer import ignore
    from mia.experiment.options import ExperimentOptions
    from mia.experiment.pools import gather_target
    from mia.models.options import MlpOptions
    from mia.shadow_data.options import SynthesizedOptions
    from mia.split import SplitOptions
    from mia.store import PoolStore
    from mia.train.options import TrainOptions

    options = ExperimentOptions(
        seed=0,
        data=LocationsOptions(root=chosen.root),
        split=SplitOptions(size=1200, num_shadows=1),
        model=MlpOptions(),
        train=TrainOptions(epochs=chosen.epochs),
        attack=AttackOptions(),
        shadow_data=SynthesizedOptions(records_per_class=-(-chosen.records // 30)),
    )
    data = load(options.data)
    with tempfile.TemporaryDirectory() as folder:
        split = plan_split(options, data)
        target = gather_target(options, data, split, PoolStore(Path(folder)), ignore)
        seconds, cpu_seconds = [], []
        for _ in range(2):  # the first compiles
            begun, begun_cpu = time.perf_counter(), time.process_time()
            made = make_own_records(options, data, split, target, ignore)
            seconds.append(time.perf_counter() - begun)
            cpu_seconds.append(time.process_time() - begun_cpu)
    result = {
        "records": len(made.x),
        "classes_reached": len(np.unique(made.y)),
        "queries_per_record": round(made.queries / len(made.x), 1),
        "seconds_with_compilation": round(seconds[0], 2),
        "seconds_synthesis": round(seconds[1], 2),
        "cpu_seconds": round(cpu_seconds[1], 2),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
