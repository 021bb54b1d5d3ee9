"""Changed copies of records, for attacks that ask more than once: mirrored and shifted pictures, noise.

Takes records as they lie in the data set; gives as many changed ones of the same shape and type. Asks models only in
`phi_of_views`, and only through the signals' oracle.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped

from mia.attacks.shared_statistics import SharedStatistics, Views
from mia.attacks.statistics import true_class
from mia.checks import RequestError
from mia.records import Signals

MOST_QUERIES = 18
"""Nine shifts of a picture, each plain and mirrored."""

View = tuple[int, int, bool]
"""Pixels down, pixels to the right, mirrored or not."""
Records = Shaped[np.ndarray, "B *features"]


def picture_views(shift: int) -> list[View]:
    """Return the eighteen views of a picture, the plain one first, then the mirrored one, then those shifted."""
    straight = [(0, 0), (shift, 0), (-shift, 0), (0, shift), (0, -shift)]
    steps = [*straight, *itertools.product((shift, -shift), repeat=2)]
    return [(down, right, mirrored) for down, right in steps for mirrored in (False, True)]


def picture_view(x: Shaped[np.ndarray, "B height width channels"], view: View) -> Records:
    """Return pictures as in the view; what a shift uncovers is filled by reflection."""
    down, right, mirrored = view
    if mirrored:
        x = x[:, :, ::-1]
    margin = max(abs(down), abs(right))
    if not margin:
        return x
    height, width = x.shape[1:3]
    padded = np.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)), mode="reflect")
    return padded[:, margin - down : margin - down + height, margin - right : margin - right + width]


def check_shift(name: str, x: Shaped[np.ndarray, "B height width channels"], shift: int) -> None:
    """Check that pictures are larger than the shift.

    Raises:
        RequestError: they are not.
    """
    smallest = min(x.shape[1:3])
    if shift >= smallest:
        raise RequestError(f"attack.{name}.shift={shift} must be below the pictures' {smallest} pixels")


@dataclass(frozen=True)
class Noise:
    """Noise of the kind that suits a data set: bits flip, numbers get Gaussian noise, pixels stay in 0 .. 255."""

    unit: Float[np.ndarray, "*features"] | None  # standard deviation of a column, or of all pixels; None for bits

    @classmethod
    def like(cls, x: Records) -> "Noise":
        """Return noise for records like `x`."""
        if x.ndim > 2:
            return cls(np.full(x.shape[1:], x.std(), np.float32))
        if ((x == 0) | (x == 1)).all():
            return cls(None)
        return cls(x.std(0).astype(np.float32))

    def add(self, x: Records, level: float, generator: np.random.Generator) -> Records:
        """Return `x` with a share `level` of its bits flipped, or with noise of `level` units."""
        if self.unit is None:
            return np.where(generator.random(x.shape, dtype=np.float32) < level, 1 - x, x).astype(x.dtype)
        noisy = x + level * self.unit * generator.standard_normal(x.shape, dtype=np.float32)
        if x.dtype == np.uint8:
            noisy = np.clip(np.rint(noisy), 0, 255)
        return noisy.astype(x.dtype)


def phi_of_views(
    name: str,
    signals: Signals,
    shared: SharedStatistics,
    records: Int[np.ndarray, "R"],
    queries: int,
    shift: int,
) -> Float[np.ndarray, "V M R"]:
    """Return phi of every model (row 0: the target) on the first `queries` views of some records.

    Args:
        name: The attack, for errors.
        signals: They know whom to ask.
        shared: Their statistics, with the answers to the plain view; other views are kept there.
        records: Positions along the record axis, ascending. The target is asked about the candidates among them alone:
            of the others its phi is NaN but for the plain view.
        queries: Views, the plain one among them.
        shift: Pixels.

    Raises:
        RequestError: nobody can be asked, the records are not pictures, or the shift is too large for them.
    """
    known = shared.views.get((queries, shift))
    if known is not None and np.isin(records, known.records).all():
        return known.phi[:, :, np.searchsorted(known.records, records)]
    request = f"attack.{name}.queries={queries}"
    if signals.oracle is None:
        raise RequestError(
            f"{request} needs to ask the models again, predictions from a file cannot answer: set it to 1"
        )
    x = signals.oracle.features(records)
    if x.ndim != 4:
        raise RequestError(
            f"{request} needs pictures to mirror and shift, these records are rows of a table: set it to 1"
        )
    check_shift(name, x, shift)
    phi = np.full((queries, signals.num_shadows + 1, len(records)), np.nan)
    phi[0] = shared.phi[:, records]
    is_asked = signals.is_candidate[records]
    for number, view in enumerate(picture_views(shift)[1:queries], start=1):
        changed = picture_view(x, view)
        for model in range(signals.num_shadows + 1):
            use = slice(None) if model else is_asked
            outputs = signals.oracle.ask(model, changed[use])
            phi[number, model, use] = true_class(
                outputs, signals.labels[records[use]], signals.is_probability, shared.floor
            )[0]
    shared.views[queries, shift] = Views(records, phi)
    return phi
