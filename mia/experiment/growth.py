"""How strong each attack would be with fewer shadows: table rows from one pool, by subsampling.

Takes a question and the attacks' options; gives rows for `growth.csv`. Trains nothing.
"""

from mia.attacks import ATTACKS
from mia.attacks.growth import growth
from mia.attacks.options import AttackOptions
from mia.experiment.signals import Question
from mia.metrics.evaluation import evaluate
from mia.seeds import stage_seed

SHOWN = ("auc", "balanced_accuracy", "tpr_at_1pct_fpr", "tpr_at_0.1pct_fpr")


def grow(options: AttackOptions, question: Question, seed: int) -> list[dict[str, str | float]]:
    """Return a row per attack and number of shadows (1, 2, 4 ...), for the attacks that use shadows."""
    rows: list[dict[str, str | float]] = []
    for name, chosen in options.chosen.items():
        if "shadows" not in ATTACKS[name].needs:
            continue
        for count, scores in growth(name, question.signals, chosen, stage_seed(seed, f"attack/{name}")).items():
            found = evaluate(scores, question.is_member, prior=options.prior, seed=seed).metrics
            wanted = {
                key: value for key, value in found.items() if key.removesuffix("_low").removesuffix("_high") in SHOWN
            }
            rows.append({"attack": name, "shadows": count, **wanted})
    return rows
