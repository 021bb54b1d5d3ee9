"""Which trainings cannot work: checked from options alone, before anything is trained. Imports nothing heavy."""

from mia.checks import RequestError
from mia.models.options import ModelOptions, WideResnetOptions, check_fits
from mia.train.options import TrainOptions
from mia.train.parts import sizes
from mia.train.switches import Switches


def check_compatible(train: TrainOptions, model: ModelOptions, shape: tuple[int, ...], num_members: int) -> None:
    """Check that a model can be trained so on records of this shape.

    Raises:
        RequestError: the model or a defence takes pictures and the records are none; a part of the members would be
            empty; a model whose records influence one another under DP-SGD.
    """
    check_fits(model, shape)
    if len(shape) != 3 and Switches.of(train).augmentation:
        raise RequestError(
            f"train.augmentation changes pictures [height width channels], not records of shape {list(shape)}"
        )
    sizes(train, num_members)
    if train.dp.is_on and isinstance(model, WideResnetOptions) and model.norm == "batch":
        raise RequestError(
            "model.norm='batch' mixes the records of a batch, which DP-SGD cannot bound; use model.norm=group"
        )
