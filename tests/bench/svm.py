"""The support vector machines of the shadow classifiers against plain scikit-learn; prints one JSON line.

    python tests/bench/svm.py --rows 30000 --classes 2
    python tests/bench/svm.py --rows 30000 --classes 1 --search halving --against full

Rows are answers of imagined overfitted models, as many per class as given. Without `--search` it times one fit per
class and one prediction for every row, with C and gamma given: as the stage does it (worker processes, one thread
each) and as plain scikit-learn does, one class after the other; in turn, `--repeats` times, medians. With `--search`
it times the whole stage with that search, and with `--against` the whole stage with another one too.
"""

import argparse
import json
import time

import numpy as np

from mia.attacks.shadow_classifier import ShadowSvmOptions, shadow_svm
from mia.attacks.shadow_classifier.classifiers import Pair, Recipe, fit_and_decide, svm_library
from mia.attacks.shadow_classifier.rows import Rows, RowSource
from mia.attacks.shadow_classifier.workers import Workers, count_cores
from mia.records import Signals

SHADOWS = 10


def imagine(rows: int, classes: int, outputs: int, seed: int) -> tuple[Signals, np.ndarray]:
    """Return signals with so many rows per class, and the target's membership.

    Members are right and sure; of the others four in ten are wrong, and all are less sure.
    """
    generator = np.random.default_rng(seed)
    records = rows // SHADOWS * classes
    labels = (np.arange(records) % classes).astype(np.int32)
    is_member = np.array([generator.permutation(records) < records // 2 for _ in range(SHADOWS + 1)])
    logits = generator.normal(0, 2, (SHADOWS + 1, records, outputs)).astype(np.float32)
    is_wrong = (generator.random(is_member.shape) < 0.4) & ~is_member
    said = np.where(is_wrong, generator.integers(0, outputs, is_member.shape), labels)
    sureness = generator.gamma(4, 1.2, is_member.shape) + 3 * is_member
    logits[np.arange(SHADOWS + 1)[:, None], np.arange(records), said] += sureness
    signals = Signals(
        labels=labels,
        is_candidate=np.ones(records, bool),
        target_outputs=logits[0],
        shadow_outputs=logits[1:],
        shadow_membership=is_member[1:].astype(np.int8),
        shadow_own=np.ones((SHADOWS, records), bool),
    )
    return signals, is_member[0]


def compare_fits(signals: Signals, classes: int, pair: Pair, repeats: int) -> dict[str, object]:
    """Time one fit and one prediction of all rows per class, ours and plain scikit-learn's."""
    source = RowSource(signals, ShadowSvmOptions(), 0)
    rows = [source.gather(label, 5) for label in range(classes)]
    ours, plain_fit, plain_predict, agreement = [], [], [], []
    for _ in range(repeats):
        seconds, scores = _fit_ours(rows, Recipe(ShadowSvmOptions(), pair, 0))
        fit_seconds, predict_seconds, said = _fit_plain(rows, pair)
        ours.append(seconds)
        plain_fit.append(fit_seconds)
        plain_predict.append(predict_seconds)
        agreement += [np.mean((score > 0) == one) for score, one in zip(scores, said, strict=True)]
    return {
        "c": pair.c,
        "gamma": pair.gamma,
        "fit_and_predict_seconds": round(float(np.median(ours)), 2),
        "plain_fit_seconds": round(float(np.median(plain_fit)), 2),
        "plain_predict_seconds": round(float(np.median(plain_predict)), 2),
        "ratio": round(float(np.median(np.add(plain_fit, plain_predict) / ours)), 2),
        "agreement": round(float(np.mean(agreement)), 5),
    }


def _fit_ours(rows: list[Rows], recipe: Recipe) -> tuple[float, list[np.ndarray]]:
    with Workers(seconds=1e9) as workers:
        few = [(recipe, one.features[:200], one.is_member[:200], one.features[:1]) for one in rows]
        list(workers.run(fit_and_decide, few, len(few)))  # starts the workers, which is not a fit's time
        begun = time.perf_counter()
        jobs = [(recipe, one.features, one.is_member, one.features) for one in rows]
        scored = list(workers.run(fit_and_decide, jobs, len(jobs)))
        return time.perf_counter() - begun, [one.score for one in scored]


def _fit_plain(rows: list[Rows], pair: Pair) -> tuple[float, float, list[np.ndarray]]:
    from sklearn.svm import SVC

    fit_seconds, predict_seconds, said = 0.0, 0.0, []
    for one in rows:
        begun = time.perf_counter()
        plain = SVC(C=pair.c, gamma=pair.gamma).fit(one.features, one.is_member)
        fitted = time.perf_counter()
        said.append(plain.predict(one.features))
        fit_seconds += fitted - begun
        predict_seconds += time.perf_counter() - fitted
    return fit_seconds, predict_seconds, said


def time_search(signals: Signals, is_member: np.ndarray, search: str, grid: str) -> dict[str, object]:
    """Time the whole stage."""
    begun = time.perf_counter()
    scores = shadow_svm(signals, ShadowSvmOptions(search=search, grid=grid), 0)
    seconds = time.perf_counter() - begun
    chosen = {key: value for key, value in scores.details.items() if key.startswith(("C/", "gamma/"))}
    return {
        "search": search,
        "seconds": round(seconds, 1),
        "attack_accuracy": round(float(np.mean(scores.is_predicted == is_member)), 4),
        "chosen": chosen,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000, help="per class")
    parser.add_argument("--classes", type=int, default=2, help="that models are fitted for")
    parser.add_argument("--outputs", type=int, default=10, help="probabilities per row")
    parser.add_argument("--c", type=float, default=10.0)
    parser.add_argument("--gamma", type=float, default=0.1)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--search", choices=("full", "halving", "auto"))
    parser.add_argument("--against", choices=("full", "halving", "auto"))
    parser.add_argument("--grid", choices=("study", "wide"), default="study")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    signals, is_member = imagine(given.rows, given.classes, given.outputs, given.seed)
    found: dict[str, object] = {"rows": given.rows, "classes": given.classes, "cores": count_cores()}
    found["library"] = svm_library()
    if given.search is None:
        found |= compare_fits(signals, given.classes, Pair(given.c, given.gamma), given.repeats)
    else:
        found |= time_search(signals, is_member, given.search, given.grid)
        if given.against:
            other = time_search(signals, is_member, given.against, given.grid)
            found |= {f"against_{key}": value for key, value in other.items()}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
