"""CPU seconds of judging one attack's scores, and of MemGuard's answers; prints one JSON line.

python tests/bench/judging.py --records 50000
"""

import argparse
import json
import time

import numpy as np

from mia.defences import make_defence
from mia.defences.memguard import MemguardOptions
from mia.metrics.evaluation import evaluate
from mia.records import Scores


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--answers", type=int, default=10_000, help="that MemGuard changes")
    arguments = parser.parse_args()
    generator = np.random.default_rng(0)
    is_member = np.arange(arguments.records) % 2 == 0
    score = generator.normal(size=arguments.records) + is_member
    none = np.zeros(arguments.records, np.int64)
    scores = Scores(score, score > 0.5, num_in=none, num_out=none)
    began = time.process_time()
    evaluate(scores, is_member)
    judged = time.process_time() - began
    fit_on = generator.normal(scale=4, size=(2, 500, 5))
    defence = make_defence(MemguardOptions(), fit_on=(fit_on[0], fit_on[1]))
    logits = generator.normal(scale=4, size=(arguments.answers, 5)).astype(np.float32)
    began = time.process_time()
    defence(logits)
    result = {**vars(arguments), "evaluate_cpu_seconds": judged, "memguard_cpu_seconds": time.process_time() - began}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
