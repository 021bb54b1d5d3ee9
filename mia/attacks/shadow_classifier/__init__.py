"""Classifiers fitted on what shadows say about their own records, in and out (Shokri et al. 2017).

Takes signals; gives a score per candidate record: how far the classifier puts it on the members' side. Sees nothing
of the target but its answers; scikit-learn is imported when an attack runs, not before.
"""

from collections.abc import Callable

from mia.attacks.options import ShadowClassifierOptions
from mia.records import Scores, Signals


def attack(
    signals: Signals,
    options: ShadowClassifierOptions,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Scores:
    """Fit a classifier per class on the shadows' records and score the candidates with it.

    Args:
        signals: What models say about the records; `shadow_own` marks the rows to fit on.
        options: Of `shadow_svm`, `shadow_mlp`, `shadow_forest`, `shadow_logistic` or `shadow_boosting`: it decides
            which classifier.
        seed: For the order of rows, the choice among too many, and classifiers that draw at random.
        progress: Called with the fits done and their total.

    Returns:
        Scores; a record is predicted a member where its score is above 0. `details` holds what was chosen.

    Raises:
        RequestError: there are no shadows, or an option does not suit the signals.
    """
    from mia.attacks.shadow_classifier.stage import fit_and_score

    return fit_and_score(signals, options, seed, progress)
