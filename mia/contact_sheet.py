"""The contact sheet: pictures of the records that an attack is surest about, as one small PNG.

Takes a result and the data set's pictures. Only for data that are pictures, [height width channels].
"""

import io
import math

import numpy as np
from jaxtyping import Shaped

from mia.records import Result
from mia.tables import attacks_by_auc, class_name

COLUMNS, TILE = 8, 72  # pictures in a row, pixels of a picture's side


def most_exposed(result: Result, attack: str, count: int) -> list[int]:
    """Return positions (along `result.index`) of the members with the highest scores, the most exposed first."""
    score = np.where(result.is_member, result.scores[attack].score.astype(float), np.nan)
    order = np.argsort(-np.nan_to_num(score, nan=-np.inf), kind="stable")
    return [int(k) for k in order[:count] if math.isfinite(score[k])]


def contact_sheet(result: Result, images: Shaped[np.ndarray, "N h w c"], count: int = 3 * COLUMNS) -> bytes:
    """Return a small PNG of the `count` members with the highest scores of the strongest attack, with their scores."""
    from PIL import Image, ImageDraw, ImageFont

    attack = attacks_by_auc(result)[0]
    chosen = most_exposed(result, attack, count)
    width, height = TILE + 14, TILE + 30
    sheet = Image.new("RGB", (COLUMNS * width, max(1, math.ceil(len(chosen) / COLUMNS)) * height), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(10)
    brightest = float(images[result.index[chosen]].max(initial=0))  # digits have 16 shades, not 255
    for place, k in enumerate(chosen):
        left, top = place % COLUMNS * width + 2, place // COLUMNS * height
        picture = images[result.index[k]].astype(float)
        low, high = (0.0, brightest) if images.dtype == np.uint8 else (picture.min(), picture.max())
        shown = (255 * np.clip((picture - low) / max(high - low, 1e-12), 0, 1)).astype(np.uint8)
        tile = Image.fromarray(shown if shown.shape[-1] == 3 else shown[..., 0])
        sheet.paste(tile.resize((TILE, TILE), Image.Resampling.NEAREST), (left, top))
        words = (
            f"#{result.index[k]} {class_name(result, int(result.labels[k]))}"[:15]
            + f"\n{result.scores[attack].score[k]:.3g}"
        )
        pen.text((left, top + TILE), words, fill="#333333", font=font, spacing=1)
    buffer = io.BytesIO()
    sheet.quantize(128, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
