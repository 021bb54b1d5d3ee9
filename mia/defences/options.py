"""The options of our own output defences, in one place for those who import several."""

from mia.defences import DefenceOptions
from mia.defences.answer_noise import NoiseOptions
from mia.defences.label import LabelOnlyOptions
from mia.defences.memguard import MemguardOptions
from mia.defences.none import NoneOptions
from mia.defences.rounding import RoundingOptions
from mia.defences.temperature import TemperatureOptions
from mia.defences.top_k import TopKOptions

__all__ = [
    "DefenceOptions",
    "LabelOnlyOptions",
    "MemguardOptions",
    "NoiseOptions",
    "NoneOptions",
    "RoundingOptions",
    "TemperatureOptions",
    "TopKOptions",
]
