"""Which trainings cannot work: checked from options alone, before anything is trained. Imports nothing heavy."""

from mia.checks import RequestError
from mia.models.options import ModelOptions, WideResnetOptions, check_fits
from mia.train.defence_options import AugmentationOptions
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
    if Switches.of(train).augmentation:
        _check_pictures(train.augmentation, shape)
    sizes(train, num_members)
    if train.dp.is_on and isinstance(model, WideResnetOptions) and model.norm == "batch":
        raise RequestError(
            "model.norm='batch' mixes the records of a batch, which DP-SGD cannot bound; use model.norm=group"
        )


def _check_pictures(augmentation: AugmentationOptions, shape: tuple[int, ...]) -> None:
    if len(shape) != 3:
        raise RequestError(
            f"train.augmentation changes pictures [height width channels], not records of shape {list(shape)}"
        )
    side = min(shape[:2])
    for key, pixels in (("shift", augmentation.shift), ("cutout", augmentation.cutout)):
        if pixels >= side:
            raise RequestError(
                f"train.augmentation.{key}={pixels} leaves nothing of pictures of {shape[0]}x{shape[1]}; "
                f"give less than {side}"
            )
