"""What other tools' choices change, on the same answers: a JSON line for each, theirs beside ours.

`python tests/bench/differences.py` makes answers (20,000 records, 64 shadows, 10,000 records of a population) and works
out each choice from its formula, as that tool's code has it; no other tool is installed. Ours is `mia.audit`.
"""

import argparse
import json
from typing import Any

import numpy as np

import mia
from mia.metrics.auc import placements
from mia.metrics.rates import clopper_pearson
from mia.metrics.roc import roc

A = 0.3  # of offline RMIA, in all tools


def main() -> None:
    """Print a line for each choice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--shadows", type=int, default=64)
    parser.add_argument("--population", type=int, default=10_000)
    chosen = parser.parse_args()
    answers = make_answers(chosen.records, chosen.shadows, chosen.population)
    found = mia.audit(
        **answers,
        independent=True,
        attacks={
            "rmia_offline": {}, "rmia_online": {}, "lira_online": {"variance": "global"},
            "entropy": {}, "modified_entropy": {},
        },
    )  # fmt: skip
    tell_rmia(answers, found)
    tell_lira(answers, found)
    tell_few_shadows(answers)
    score, member = found.scores["lira_online"].score, answers["target_member"] == 1
    hull = convex_hull(score, member)
    tell("AUC of the convex hull of the ROC", theirs={"auc": hull}, ours={"auc": auc(score, member)})
    one = found.metrics["attack/lira_online/epsilon_clopper_pearson"]
    tell(
        "epsilon from a threshold chosen on the same records; the most that it is cut to",
        theirs={"epsilon": best_clopper_pearson(score, member), "cap": float(np.log(member.sum()))},
        ours={"epsilon_clopper_pearson": one},
    )
    tell("entropy with labels", theirs=area_of(found, "modified_entropy"), ours=area_of(found, "entropy"))


def make_answers(records: int, shadows: int, population: int) -> dict[str, Any]:
    """Return answers in the form of an audit's file; members' logits are a little higher."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 10, records + population)
    member = (generator.random((shadows + 1, records)) < 0.5).astype(np.int8)
    logits = generator.normal(size=(shadows + 1, records + population, 10)).astype(np.float32)
    logits[:, np.arange(records + population), labels] += generator.normal(2, 1, records + population).astype(
        np.float32
    )
    logits[:, np.arange(records), labels[:records]] += member
    asked, outside = logits[:, :records], logits[:, records:]
    return {
        "target_logits": asked[0], "target_member": member[0], "labels": labels[:records],
        "shadow_logits": asked[1:], "shadow_member": member[1:],
        "population_logits": outside[[*range(1, shadows + 1), 0]], "population_labels": labels[records:],
    }  # fmt: skip


def tell_rmia(answers: dict[str, Any], found: Any) -> None:
    """Say what averaging the largest half of the shadows' answers does to RMIA."""
    own, shadow = confidence(answers["target_logits"], answers), confidence(answers["shadow_logits"], answers)
    labels = answers["population_labels"]
    outside = np.stack([_softmax(one)[np.arange(len(labels)), labels] for one in answers["population_logits"]])
    half, inside = len(shadow) // 2, answers["shadow_member"] == 1

    def score(of_record: np.ndarray, of_population: np.ndarray) -> np.ndarray:
        others = np.sort(outside[-1] / of_population)
        return np.searchsorted(others, own / of_record, side="left") / len(others)

    def mixed(mean: np.ndarray) -> np.ndarray:
        return ((1 + A) * mean + 1 - A) / 2

    member = answers["target_member"] == 1
    offline = score(mixed(top(shadow * ~inside, half)), mixed(top(outside[:-1], half)))
    online = score(top(shadow, half), top(outside[:-1], half))
    for name, theirs in (("rmia_offline", offline), ("rmia_online", online)):
        tell(f"{name} from the largest half of the answers", theirs=low(theirs, member), ours=low_of(found, name))


def tell_lira(answers: dict[str, Any], found: Any) -> None:
    """Say what a fixed deviation does that is not taken from each record's own mean, and medians."""
    own, shadow = phi(answers["target_logits"], answers), phi(answers["shadow_logits"], answers)
    inside, member = answers["shadow_member"] == 1, answers["target_member"] == 1
    densities = []
    for side in (inside, ~inside):
        kept = np.where(side, shadow, np.nan)
        deviation = np.nanstd(kept)
        densities.append(-(((own - np.nanmean(kept, axis=0)) / deviation) ** 2) / 2 - np.log(deviation))
    theirs = low(densities[0] - densities[1], member)
    tell("lira_online, a fixed deviation around the mean of all", theirs=theirs, ours=low_of(found, "lira_online"))
    names = {"median": "theirs", "mean": "ours"}
    both = {
        whose: low_of(mia.audit(**answers, attacks={"lira_online": {"location": location}}), "lira_online")
        for location, whose in names.items()
    }
    tell("lira_online, medians", **both)


def tell_few_shadows(answers: dict[str, Any], shadows: int = 6) -> None:
    """Say what becomes of records that all shadows, or none, were trained on, where there are few shadows."""
    few = {
        **answers,
        "shadow_logits": answers["shadow_logits"][:shadows],
        "shadow_member": answers["shadow_member"][:shadows],
    }
    few = {name: value for name, value in few.items() if not name.startswith("population")}
    own, shadow = phi(few["target_logits"], few), phi(few["shadow_logits"], few)
    inside, member = few["shadow_member"] == 1, few["target_member"] == 1
    densities = []
    for side in (inside, ~inside):
        count = side.sum(axis=0)
        mean = np.divide(np.where(side, shadow, 0).sum(axis=0), count, where=count > 0, out=np.full(len(own), np.nan))
        mean = np.where(count > 0, mean, np.nanmean(mean))
        deviation = np.sqrt(np.square(np.where(side, shadow - mean, 0)).sum() / side.sum())
        densities.append(-(((own - mean) / deviation) ** 2) / 2 - np.log(deviation))
    found = mia.audit(**few, attacks={"lira_online": {"variance": "global"}})
    ours = low_of(found, "lira_online") | {"left_out": int(np.isnan(found.scores["lira_online"].score).sum())}
    tell(f"{shadows} shadows: records without them filled", theirs=low(densities[0] - densities[1], member), ours=ours)


def confidence(logits: np.ndarray, answers: dict[str, Any]) -> np.ndarray:
    """Return the probability of the true class."""
    return _softmax(logits)[..., np.arange(len(answers["labels"])), answers["labels"]]


def phi(logits: np.ndarray, answers: dict[str, Any]) -> np.ndarray:
    """Return log p_y less the log of the other classes' sum."""
    p = confidence(logits, answers).astype(np.float64)
    return np.log(p) - np.log1p(-p)


def top(values: np.ndarray, count: int) -> np.ndarray:
    """Return the mean of the largest values of each record."""
    return np.sort(values, axis=0)[-count:].mean(axis=0)


def _softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return odds / odds.sum(axis=-1, keepdims=True)


def auc(score: np.ndarray, member: np.ndarray) -> float:
    """Return the area under the ROC."""
    return placements(score, member).auc


def convex_hull(score: np.ndarray, member: np.ndarray) -> float:
    """Return the area under the convex hull of the ROC."""
    order = np.argsort(-score, kind="stable")
    is_last = np.append(score[order][1:] != score[order][:-1], True)
    tpr, fpr = (np.append(0, np.cumsum(side[order])[is_last] / side.sum()) for side in (member, ~member))
    kept: list[tuple[float, float]] = []
    for point in zip(fpr, tpr, strict=True):
        while len(kept) > 1 and (kept[-1][0] - kept[-2][0]) * (point[1] - kept[-2][1]) >= (
            (kept[-1][1] - kept[-2][1]) * (point[0] - kept[-2][0])
        ):
            kept.pop()
        kept.append(point)
    x, y = np.array(kept).T
    return float(np.trapezoid(y, x))


def best_clopper_pearson(score: np.ndarray, member: np.ndarray, confidence: float = 0.95) -> float:
    """Return the largest epsilon that any threshold promises, as if it had been chosen beforehand."""
    best = 0.0
    for threshold in np.quantile(score, np.linspace(0.5, 1, 400)):
        hits, alarms = (int((score[side] >= threshold).sum()) for side in (member, ~member))
        least = clopper_pearson(hits, int(member.sum()), confidence).low
        most = clopper_pearson(alarms, int((~member).sum()), confidence).high
        best = max(best, float(np.log(max(least, 1e-12) / most)))
    return best


def low(score: np.ndarray, member: np.ndarray) -> dict[str, float]:
    """Return the AUC and the rate of hits at a false-positive rate of 0.1%."""
    curve = roc(score, member)
    return {"auc": auc(score, member), "tpr_at_0.1pct_fpr": float(curve.tpr[curve.fpr <= 0.001].max())}


def low_of(found: Any, name: str) -> dict[str, float]:
    """Return the same of an attack of ours."""
    return {metric: found.metrics[f"attack/{name}/{metric}"] for metric in ("auc", "tpr_at_0.1pct_fpr")}


def area_of(found: Any, name: str) -> dict[str, float]:
    """Return the AUC of an attack of ours."""
    return {"auc": found.metrics[f"attack/{name}/auc"]}


def tell(what: str, *, theirs: dict[str, float], ours: dict[str, float]) -> None:
    """Print a line."""
    shown = {
        whose: {name: round(value, 4) for name, value in one.items()}
        for whose, one in (("theirs", theirs), ("ours", ours))
    }
    print(json.dumps({"what": what, **shown}), flush=True)


if __name__ == "__main__":
    main()
