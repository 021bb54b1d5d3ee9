"""Settings: neutral is none, kinds are told apart, and the stronger end is the one that was declared."""

from dataclasses import dataclass

import pytest

from mia.settings import Setting, Strength, number_words, setting_of


@dataclass
class Noise:
    distribution: str = "gaussian"
    scale: float = 0.1


@dataclass
class TopK:
    k: int = 3


NOISE = Strength("noise", "scale", kinds=("distribution",))
TOP_K = Strength("top k", "k", is_lower_stronger=True, symbol="k =")


def test_a_neutral_strength_is_no_setting():
    assert setting_of(Noise(scale=0), NOISE, "defence.noise") is None
    assert setting_of(TopK(0), TOP_K, "defence.top_k") is None


def test_kinds_are_different_defences():
    gaussian, laplace = (setting_of(Noise(kind), NOISE, "defence.noise") for kind in ("gaussian", "laplace"))
    assert gaussian == Setting("defence.noise.gaussian", "noise (gaussian)", 0.1, "0.1")
    assert laplace.key == "defence.noise.laplace"
    assert laplace.words == "noise (laplace) 0.1"


def test_the_stronger_end_has_the_higher_rank():
    assert setting_of(TopK(1), TOP_K, "defence.top_k").rank > setting_of(TopK(3), TOP_K, "defence.top_k").rank
    assert setting_of(TopK(3), TOP_K, "defence.top_k").words == "top k k = 3"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (2500, "2500"),
        (0.5, "0.5"),
        (5e-3, "5e-3"),
        (1.5e-4, "1.5e-4"),
        (0, "0"),
        (0.01, "0.01"),
        (12345678, "12345678"),
    ],
)
def test_numbers_as_people_write_them(value, words):
    assert number_words(value) == words
