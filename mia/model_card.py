"""A fragment for a model card, in Markdown: what an audit found, what that means, and what it does not mean.

Takes a `Result` and what is audited; gives text. Every number stands with its interval.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from mia.attacks import attack_words, is_owners
from mia.metrics.words import FAILED
from mia.records import Result
from mia.tables import attacks_by_auc

COLUMNS = {
    "auc": "AUC",
    "advantage": "advantage",
    "tpr_at_1pct_fpr": "TPR at 1% FPR",
    "tpr_at_0.1pct_fpr": "TPR at 0.1% FPR",
}
MEANING = (
    "AUC is the chance that an attack ranks a random training record above a random other one: .5 is guessing, 1 tells "
    "them apart always. TPR at 1% FPR is the share of training records found while 1% of the others are accused "
    "wrongly. The numbers are of the attacks named here, with the knowledge that they had: others may find more, and "
    "an interval that holds .5 shows no leakage without proving that there is none."
)


@dataclass(frozen=True)
class About:
    """What is audited, in the words of who asks."""

    model: str = ""  # "churn classifier 3.1"
    data: str = ""  # "customers of 2025"
    command: str = ""  # that repeats it


def verdict(result: Result) -> str:
    """Return in plain words what the strongest attack found, with its interval, and what that does not mean."""
    names = [name for name in attacks_by_auc(result) if _has(result.metrics, f"attack/{name}/auc")]
    names = [name for name in names if not is_owners(name)] or names
    if not names:
        return "No attack could rank these records."
    value, low, high = (result.metrics.get(f"attack/{names[0]}/auc{end}", math.nan) for end in ("", "_low", "_high"))
    numbers = f"AUC {value:.3f}, 95% interval {low:.3f} to {high:.3f}, where .5 is guessing"
    if low > 0.5:
        strongest = names[0] if len(names) == 1 else f"the strongest of {len(names)} attacks, {names[0]},"
        found = f"The model tells who was in its training set: {strongest} has {numbers}."
    elif len(names) == 1:
        found = f"The attack {names[0]} tells members apart by no more than chance: it has {numbers}."
    else:
        found = f"None of {len(names)} attacks tells members apart by more than chance; the strongest, {names[0]}, "
        found += f"has {numbers}."
    failed = sum(FAILED in line for line in result.warnings)
    doubt = f" BUT {failed} of its controls failed (see the warnings): this is not leakage alone." if failed else ""
    return f"{found} It is a lower limit: a stronger attack, or more shadow models, may find more.{doubt}"


def model_card(result: Result, about: About) -> str:
    """Return the fragment."""
    members = int(result.is_member.sum())
    shadows = result.num_shadows
    what = [f"**{key}**: {_plain(value)}" for key, value in (("Model", about.model), ("Data", about.data)) if value]
    utility = [
        f"{words} {result.metrics[name]:.3f}"
        for name, words in (("target/train_accuracy", "training accuracy"), ("target/test_accuracy", "test accuracy"))
        if name in result.metrics
    ]
    how = [
        f"{members:,} training records and {len(result.is_member) - members:,} others were judged",
        *([f"{shadows} shadow {'model' if shadows == 1 else 'models'} stood behind the scores"] if shadows else []),
        *([", ".join(utility)] if utility else []),
    ]
    parts = [
        "## Membership inference",
        "  \n".join(what),
        verdict(result),
        _table(result),
        f"{'; '.join(how)}. Brackets are 95% intervals.",
        MEANING,
        "\n".join(f"- {_plain(line)}" for line in result.warnings),
        "Measured with [mia](https://pypi.org/project/mia-sweeps/)"
        + (f": `{about.command}`" if about.command else "."),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(result: Result) -> str:
    names = attacks_by_auc(result)
    shown = [metric for metric in COLUMNS if any(_has(result.metrics, f"attack/{name}/{metric}") for name in names)]
    if not shown:
        return ""
    rows = [["attack", *(COLUMNS[metric] for metric in shown)], ["---"] * (len(shown) + 1)]
    rows += [
        [_plain(attack_words(name)), *(_estimate(result.metrics, name, metric) for metric in shown)] for name in names
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _has(metrics: Mapping[str, float], name: str) -> bool:
    return math.isfinite(metrics.get(name, math.nan))


def _estimate(metrics: Mapping[str, float], attack: str, metric: str) -> str:
    name = f"attack/{attack}/{metric}"
    if not _has(metrics, name):
        return "-"
    interval = [metrics.get(f"{name}_{end}", math.nan) for end in ("low", "high")]
    text = f"{metrics[name]:.3f}"
    return f"{text} ({interval[0]:.3f} to {interval[1]:.3f})" if all(map(math.isfinite, interval)) else text


def _plain(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    line = " ".join(str(text).split())
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>|#" else letter for letter in line)
