"""Encoded pictures become one uint8 array, on all cores.

Takes bytes, gives pixels; every picture must have the size of the first. Decodes only formats without programs inside,
and refuses what would unpack to absurd sizes. Counts what was done to depth and mode, so that it can be said.
"""

import io
import itertools
import warnings
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

import numpy as np
from jaxtyping import Bool, UInt8

from mia.checks import RequestError
from mia.data import Progress
from mia.machine import usable_cores

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_ARRAY_BYTES = 32 << 30
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
_GREY = {"1", "L", "LA"}
_BLOCK = 256
_DARK = 32  # values of the upper 8 bits: fewer are used by pictures of 12 bits
_ORIENTATION = 274


class Wanted(Protocol):
    """What the decoder asks of the options."""

    depth: int | None

    @property
    def where(self) -> str:
        """What messages begin with."""
        ...


class NoPictureError(Exception):
    """A file that is no picture, and did not claim to be one."""


class Decoder:
    """Pictures on their way into an array [N height width 3]; grey ones fill all three channels."""

    def __init__(
        self,
        names: Sequence[str],
        is_chosen: Bool[np.ndarray, "F"],
        may_be_other: Bool[np.ndarray, "F"],
        options: Wanted,
    ) -> None:
        """Describe what is coming.

        Args:
            names: Of all files, in the order they come.
            is_chosen: Which of them are opened.
            may_be_other: Which of them may be something else, and are left out then.
            options: The data set's.
        """
        self._names, self._may_be_other = names, may_be_other
        self._where, self._depth = options.where, options.depth
        self._chosen = np.flatnonzero(is_chosen)
        order = np.argsort(np.array([names[int(i)] for i in self._chosen]), kind="stable")
        self._row = np.full(len(names), -1)
        self._row[self._chosen[order]] = np.arange(len(order))  # where each picture goes: pictures are sorted by name
        self._is_picture = np.zeros(len(names), bool)
        self._is_grey = np.zeros(len(order), bool)
        self._pixels: UInt8[np.ndarray, "N height width 3"] | None = None
        self._first = ""
        self._done: Counter[str] = Counter()
        self._brightest = 0  # of what was kept of pictures with more than 8 bits per channel

    @property
    def kept(self) -> list[int]:
        """Positions, among the names, of the files that were pictures."""
        return np.flatnonzero(self._is_picture).tolist()

    def decode(
        self, contents: Iterator[bytes], progress: Progress | None = None
    ) -> UInt8[np.ndarray, "N H W channels"]:
        """Return all pictures, sorted by name: one channel where all are grey, else red, green and blue.

        Raises:
            RequestError: a file that should be is no picture, has more than 8 bits per channel, or another size.
        """
        from PIL import Image

        with warnings.catch_warnings(), ThreadPoolExecutor(usable_cores()) as pool:
            warnings.simplefilter("ignore")  # remarks on odd but readable files
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            waiting: deque[Future[int]] = deque()
            try:
                done = 0
                for block in self._blocks(contents):
                    while self._pixels is None and block:
                        self._start(block)
                    waiting.append(pool.submit(self._decode_block, block))
                    while len(waiting) > 2 * usable_cores():
                        done += self._finish(waiting, done, progress)
                while waiting:
                    done += self._finish(waiting, done, progress)
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
        return self._result()

    def notes(self) -> list[str]:
        """Return what was done to the pictures, where that is not plain."""
        notes = [f"{count:,} of {len(self.kept):,} pictures {what}" for what, count in sorted(self._done.items())]
        if 0 < self._brightest < _DARK:
            notes.append(
                f"of the upper 8 bits of the deep pictures only {self._brightest + 1} values are used: they hold fewer "
                "bits than 16, and nearly all is lost; spread their values over all 16 bits first"
            )
        return notes

    def _result(self) -> np.ndarray:
        if self._pixels is None:
            return np.empty((0, 1, 1, 1), np.uint8)
        is_filled = np.zeros(len(self._pixels), bool)
        is_filled[self._row[self._is_picture]] = True
        pixels, is_grey = self._pixels, self._is_grey
        if not is_filled.all():
            pixels, is_grey = pixels[is_filled], is_grey[is_filled]
        if is_grey.all():
            return np.ascontiguousarray(pixels[..., :1])
        if is_grey.any():
            self._done["are grey and became colour, as others are"] = int(is_grey.sum())
        return pixels

    def _finish(self, waiting: deque[Future[int]], done: int, progress: Progress | None) -> int:
        count = waiting.popleft().result()
        if progress:
            progress(done + count, len(self._chosen))
        return count

    def _blocks(self, contents: Iterator[bytes]) -> Iterator[list[tuple[int, bytes]]]:
        numbered = ((i, content) for i, content in enumerate(contents) if self._row[i] >= 0)
        while block := list(itertools.islice(numbered, 1)):
            size = len(block[0][1])
            block += itertools.islice(numbered, max(0, min(_BLOCK, (8 << 20) // max(size, 1)) - 1))
            yield block

    def _start(self, block: list[tuple[int, bytes]]) -> None:
        """Make room for pictures of the first one's size; take a file that is none off the block."""
        position, content = block[0]
        try:
            height, width = self._read(position, content, None, Counter()).shape[:2]
        except NoPictureError:
            del block[0]
            return
        shape = (len(self._chosen), height, width, 3)
        if np.prod(shape, dtype=float) > MAX_ARRAY_BYTES:
            raise RequestError(
                f"{self._where} holds {len(self._chosen):,} pictures of {width}x{height}, more than "
                f"{MAX_ARRAY_BYTES:,} bytes in all; make them smaller"
            )
        self._first, self._pixels = self._names[position], np.empty(shape, np.uint8)

    def _decode_block(self, block: list[tuple[int, bytes]]) -> int:
        if self._pixels is None:
            return 0
        expected = self._pixels.shape[1:3]
        done: Counter[str] = Counter()
        for position, content in block:
            try:
                pixels = self._read(position, content, expected, done)
            except NoPictureError:
                continue
            row = self._row[position]
            self._is_picture[position] = True
            self._is_grey[row] = pixels.ndim == 2
            self._pixels[row] = pixels[..., None] if pixels.ndim == 2 else pixels
        self._done.update(done)
        return len(block)

    def _read(
        self, position: int, content: bytes, expected: tuple[int, ...] | None, done: Counter[str]
    ) -> UInt8[np.ndarray, "H W *channels"]:
        from PIL import Image, UnidentifiedImageError

        name = self._names[position]
        try:
            with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
                width, height = image.size
                if expected is not None and (height, width) != expected:
                    raise RequestError(
                        f"{self._where} holds pictures of different sizes: {self._first!r} has "
                        f"{expected[1]}x{expected[0]} pixels, {name!r} {width}x{height}; make them one size"
                    )
                return self._pixels_of(image, name, done)
        except RequestError:
            raise
        except Exception as error:
            if self._may_be_other[position] and isinstance(error, UnidentifiedImageError):
                raise NoPictureError from error
            if isinstance(error, UnidentifiedImageError):
                problem = f"it is none of {', '.join(_FORMATS)}; convert it to PNG"
            elif isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
                problem = "it unpacks to too many pixels"
            else:
                problem = "it is damaged, or breaks off"
            raise RequestError(f"{self._where} holds {name!r}, which is no readable picture: {problem}") from error

    def _pixels_of(self, image: "Image", name: str, done: Counter[str]) -> UInt8[np.ndarray, "H W *channels"]:
        bits = bits_per_channel(image)
        if bits > 16 or (bits > 8 and self._depth is None):
            advice = ", or set data.depth=8, which keeps the upper 8 of 16" if bits <= 16 else ""
            raise RequestError(
                f"{self._where} holds {name!r} with {bits} bits per pixel and channel; convert it to 8{advice}"
            )
        if bits > 8:
            done[f"have {bits} bits per channel, of which the upper 8 are kept"] += 1
        if image.mode in ("LA", "PA", "RGBA", "RGBa", "La") or "transparency" in image.info:
            done["have transparency, which is ignored"] += 1
        elif image.mode not in ("1", "L", "RGB", "P") and not image.mode.startswith("I"):
            done[f"are {image.mode} and became RGB"] += 1
        if getattr(image, "is_animated", False):
            done["hold several pictures, of which the first counts"] += 1
        is_tagged = image.format == "TIFF" or "exif" in image.info
        if is_tagged and image.getexif().get(_ORIENTATION, 1) != 1:
            done["have a rotation tag, which is ignored"] += 1
        if image.mode.startswith("I"):
            return self._kept((np.asarray(image, dtype=np.uint32) >> 8).astype(np.uint8))
        mode = "L" if image.mode in _GREY else "RGB"
        pixels = (image if image.mode == mode else image.convert(mode)).tobytes()
        array = np.frombuffer(pixels, np.uint8).reshape(image.height, image.width, *([3] if mode == "RGB" else []))
        return self._kept(array) if bits > 8 else array

    def _kept(self, pixels: UInt8[np.ndarray, "H W *channels"]) -> UInt8[np.ndarray, "H W *channels"]:
        """Note how bright the upper bits of a deep picture are, and return them."""
        self._brightest = max(self._brightest, int(pixels.max(initial=0)))  # two threads that race differ by little
        return pixels


def bits_per_channel(image: "Image") -> int:
    """Return how many bits a channel has in the file, whatever Pillow makes of it: it halves 16-bit colour."""
    for tile in getattr(image, "tile", ()):
        arguments = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        if image.format in ("PNG", "TIFF", "PPM") and ";16" in str(arguments[0]):
            return 16
        if image.format == "TIFF" and ";12" in str(arguments[0]):
            return 12
        if tile[0].startswith("ppm") and isinstance(arguments[-1], int) and arguments[-1] > 255:
            return 16
    if image.mode in {"F", "I"}:
        return 32
    return 16 if image.mode.startswith("I;") else 8
