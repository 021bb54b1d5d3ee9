"""The target alone: trained or found, and judged, before anything is spent on its shadows."""

from mia.experiment.attacker import as_trained, plan_split
from mia.experiment.observer import Observe, ignore
from mia.experiment.options import ExperimentOptions
from mia.experiment.pools import gather_target
from mia.experiment.signals import DefendedAnswers, accuracy_beside_canaries
from mia.records import Dataset
from mia.store import PoolStore

KNOWN = ("target/train_accuracy", "target/test_accuracy")


def target_utility(
    options: ExperimentOptions, data: Dataset, store: PoolStore, observe: Observe = ignore
) -> dict[str, float]:
    """Return the metrics in `KNOWN`, as the whole experiment would.

    The target is saved in the pool in which the experiment looks for it, so nothing is trained twice.

    Raises:
        DivergedError: the loss became infinite or not a number.
        StorageError: the model could not be saved.
    """
    split = plan_split(options, data)
    data = as_trained(options, data)
    target = gather_target(options, data, split, store, observe)
    answers = DefendedAnswers(options, data, split, target, num_real=len(data.x))
    if split.canaries is not None:
        return dict(zip(KNOWN, accuracy_beside_canaries(answers, 0), strict=True))
    sides = split.members[0], split.nonmembers[0]
    outputs = [found for found, _ in answers.answers(0, *sides)]
    return {
        name: float((found.argmax(axis=-1) == data.y[side]).mean())
        for name, found, side in zip(KNOWN, outputs, sides, strict=True)
    }
