import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mia.train.threefry import threefry

# Random123's known answers for threefry2x32 with 20 rounds: key, counter, output.
KNOWN = [
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
]


@pytest.mark.parametrize(("key", "counter", "expected"), KNOWN)
def test_the_generator_gives_its_known_answers(key, counter, expected):
    words = [jnp.full(3, word, jnp.uint32) for word in (*key, *counter)]
    for found, word in zip(threefry(*words), expected, strict=True):
        np.testing.assert_array_equal(found, np.full(3, word, np.uint32))


def test_draws_are_those_that_jax_makes_by_itself():
    key = jax.random.key(7)
    drawn = jax.random.bits(jax.random.fold_in(jax.random.split(key, 3)[2], 5), (2,))
    np.testing.assert_array_equal(drawn, np.array([3004049003, 3632010092], np.uint32))


def test_compiled_draws_hold_no_loop():
    def draw(seed):
        return jax.random.normal(jax.random.fold_in(jax.random.key(seed), 1), (5,))

    assert "while" not in jax.jit(draw).lower(np.uint32(1)).as_text()
