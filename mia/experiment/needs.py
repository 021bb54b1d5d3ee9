"""What attacks need beside shadows, looked at before anything is trained.

Takes options and who trains; raises the line that says why an attack cannot be had here.
"""

from typing import Any

from mia.attacks import ATTACKS
from mia.checks import RequestError
from mia.models import tells_insides
from mia.split import SplitOptions
from mia.train.options import TrainOptions


def check_needs(name: str, model: Any, train: TrainOptions, *, is_own: bool = False) -> None:
    """Refuse an attack that the models to come would lack something for.

    Args:
        name: The attack.
        model: Options of the model.
        train: How the target is trained.
        is_own: Whether somebody's own training makes the models.

    Raises:
        RequestError: it cannot work; one line says why.
    """
    needs = ATTACKS[name].needs
    if is_own and {"oracle", "models", "trace"} & {*needs}:
        raise RequestError(f"attack={name} needs models that mia trains: with train=, leave it out")
    if "models" in needs and not tells_insides(model):
        raise RequestError(
            f"attack={name} needs to look into the models, and those of model={model.name} with these options cannot "
            "be: records influence one another in them, or their layers do not tell gradients (tells_norms)"
        )
    if "trace" in needs and not train.trace:
        raise RequestError(f"attack={name} needs the target's losses over its epochs: set train.trace=true")


def check_known_nonmembers(name: str, split: SplitOptions, num_records: int) -> None:
    """Refuse an attack that learns from records that are surely no members where every record is in question.

    Raises:
        RequestError: there are none.
    """
    if needs_known_nonmembers(name, split) and num_records <= 2 * split.size:
        raise RequestError(
            f"attack={name} needs records that the target was surely not trained on, and split.protocol=pool puts all "
            f"{num_records:,} in question: choose a smaller split.size"
        )


def needs_known_nonmembers(name: str, split: SplitOptions) -> bool:
    """Whether it hangs on the number of records if an attack is possible under a split."""
    return split.protocol == "pool" and "known_nonmembers" in ATTACKS[name].needs
