"""Which trainings cannot work: checked from options alone, before anything is trained. Imports nothing heavy."""

from collections.abc import Iterable
from typing import Any

from mia.checks import RequestError
from mia.models import MODELS, check_fits, model_kind
from mia.train.defences import TRAIN_DEFENCES
from mia.train.options import TrainOptions


def check_compatible(train: TrainOptions, model: object, shape: tuple[int, ...], num_members: int) -> None:
    """Check that a model can be trained so on records of this shape.

    Raises:
        RequestError: the model or a defence takes pictures and the records are none; a part of the members would be
            empty; a model whose records influence one another under DP-SGD.
    """
    check_fits(model, shape)
    on = train.defences()
    for defence in on:
        defence.check_records(train.given(defence), shape)
    part_sizes(train, num_members)
    for defence in on:
        if defence.is_private and (mixing := model_kind(model).mixes(model)):
            raise RequestError(f"{mixing} mixes the records of a batch, which {defence.strength.label} cannot bound")


def part_sizes(options: TrainOptions, num_members: int) -> dict[str, int]:
    """Return how many of a model's members are set aside, by the name of the defence that wants them.

    Raises:
        RequestError: a part that is asked for, or what is left to train on, would be empty.
    """
    shares = {
        defence: getattr(options.given(defence), defence.share) for defence in options.defences() if defence.share
    }
    counts = {defence: round(share * num_members) for defence, share in shares.items()}
    said = {defence: f"{defence.key}.{defence.share}={share!r}" for defence, share in shares.items()}
    for defence, count in counts.items():
        if not count:
            raise RequestError(f"{said[defence]} of {num_members} training records is none; give a larger share")
    if num_members - sum(counts.values()) < 1:
        given = ", ".join(said.values())
        raise RequestError(f"{given} leave none of {num_members} records to train on; give smaller shares")
    return {defence.name: count for defence, count in counts.items()}


def outside_parts(model: Any, options: Iterable[TrainOptions]) -> str:
    """Return what of other packages has a part in a training, for messages; nothing where all is ours."""
    named = {TRAIN_DEFENCES.outside(one.name) for each in options for one in each.defences()}
    return " and ".join(sorted(filter(None, [MODELS.outside(model.name), *named])))
