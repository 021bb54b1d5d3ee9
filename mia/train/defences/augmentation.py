"""Data augmentation: pictures are mirrored, shifted and cut into, afresh in each batch. What is shifted in is black."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Bool, Float, Int

from mia.checks import RequestError, at_least, fraction
from mia.settings import Setting, number_words
from mia.train.defences import Step, Strength, TrainDefence, train_defence


@dataclass
class AugmentationOptions:
    """Changes pictures afresh in each batch. What is shifted in or cut out is black."""

    flip: float = 0.0  # probability that a picture is mirrored, left to right
    shift: int = 0  # at most so many pixels up or down, and left or right
    cutout: int = 0  # side of the square that is cut out (DeVries and Taylor 2017), pixels

    def __post_init__(self) -> None:
        fraction("train.augmentation.flip", self.flip)
        at_least("train.augmentation.shift", self.shift, 0)
        at_least("train.augmentation.cutout", self.cutout, 0)


@train_defence("augmentation", options=AugmentationOptions)
class Augmentation(TrainDefence):
    """Each picture gets its own draw."""

    strength = Strength("augmentation", "shift")
    rank = 90
    traced = ("flip", "shift", "cutout")
    purpose = 3

    def is_on(self, given: Any) -> bool:
        """Whether pictures are changed in any way."""
        return any(self._changes(given).values())

    def setting(self, given: Any) -> Setting | None:
        """Return all that is changed; as strength the pixels of the shift, else of the cutout, else the mirroring."""
        on = {name: value for name, value in self._changes(given).items() if value}
        if not on:
            return None
        first = next(name for name in ("shift", "cutout", "flip") if name in on)
        text = ", ".join(f"{name} {number_words(value)}" for name, value in on.items())
        return Setting(f"{self.key}.{first}", self.strength.label, float(on[first]), text)

    def check_records(self, given: Any, shape: tuple[int, ...]) -> None:
        """Refuse records that are no pictures, and changes that leave nothing of them."""
        if len(shape) != 3:
            raise RequestError(
                f"train.augmentation changes pictures [height width channels], not records of shape {list(shape)}"
            )
        side = min(shape[:2])
        for name in ("shift", "cutout"):
            if (pixels := getattr(given, name)) >= side:
                raise RequestError(
                    f"train.augmentation.{name}={pixels} leaves nothing of pictures of {shape[0]}x{shape[1]}; "
                    f"give less than {side}"
                )

    def features(self, step: Step, x: Any) -> Any:
        """Return the changed pictures."""
        return augment(x, step.key, step.given.flip, step.given.shift, step.given.cutout)

    @staticmethod
    def _changes(given: Any) -> dict[str, float]:
        return {"flip": given.flip, "shift": given.shift, "cutout": given.cutout}


def augment(x: Float[Any, "B H W C"], key: Any, flip: Any, shift: Any, cutout: Any) -> Float[Any, "B H W C"]:
    """Return each picture mirrored, shifted and cut by its own draw. Strengths of zero return `x` bit by bit."""
    import jax
    import jax.numpy as jnp

    flip_key, shift_key, cut_key = jax.random.split(key, 3)
    count, height, width, _ = x.shape
    is_mirrored = jax.random.uniform(flip_key, (count,)) < flip
    moves = jnp.floor(jax.random.uniform(shift_key, (2, count)) * (2 * shift + 1) - shift).astype(jnp.int32)
    rows, is_row = _source(height, moves[0])
    columns, is_column = _source(width, moves[1])
    columns = jnp.where(is_mirrored[:, None], width - 1 - columns, columns)
    moved = x[jnp.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
    is_kept = is_row[:, :, None] & is_column[:, None, :] & ~_square(cut_key, x.shape, cutout)
    return jnp.where(is_kept[..., None], moved, 0)


def _source(length: int, move: Int[Any, "B"]) -> tuple[Int[Any, "B L"], Bool[Any, "B L"]]:
    """Return where each row comes from, and whether it lies in the picture."""
    import jax.numpy as jnp

    source = jnp.arange(length)[None] - move[:, None]
    return jnp.clip(source, 0, length - 1), (source >= 0) & (source < length)


def _square(key: Any, shape: tuple[int, ...], side: Any) -> Bool[Any, "B H W"]:
    """Return a mask of squares whose centres lie anywhere in their pictures; parts may lie outside."""
    import jax
    import jax.numpy as jnp

    count, height, width, _ = shape
    size = jnp.array([[height], [width]], jnp.float32)
    first = jnp.floor(jax.random.uniform(key, (2, count)) * size - side / 2 + 0.5)
    inside = [
        (jnp.arange(length)[None] >= start[:, None]) & (jnp.arange(length)[None] < start[:, None] + side)
        for length, start in zip((height, width), first, strict=True)
    ]
    return inside[0][:, :, None] & inside[1][:, None, :]
