"""The order in which records are trained on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mia.train import batches

WORDS = {
    "many equal": [7, 3, 7, 0, 3, 3, 7, 0],
    "ends of the range": [2**32 - 1, 0, 2**31, 2**31 - 1, 2**32 - 1, 0, 1],
    "one": [5],
}


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_words_are_ordered_and_equal_ones_keep_their_places(words):
    words = np.array(words, np.uint32)
    found = jax.jit(batches.order_of)(words)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, np.argsort(words, kind="stable"))


def test_drawn_words_are_ordered_alike_one_by_one_and_side_by_side():
    words = np.random.default_rng(0).integers(2**32, size=(5, 3001), dtype=np.uint32)
    wanted = np.argsort(words, axis=1, kind="stable")
    np.testing.assert_array_equal(jax.vmap(batches.order_of)(words), wanted)
    np.testing.assert_array_equal(jax.lax.map(batches.order_of, words), wanted)


def test_elsewhere_than_on_a_cpu_the_order_is_the_same(monkeypatch):
    words = jnp.asarray(np.random.default_rng(1).integers(50, size=200, dtype=np.uint32))
    here = batches.order_of(words)
    monkeypatch.setattr(batches, "is_on_cpu", lambda: False)
    np.testing.assert_array_equal(batches.order_of(words), here)


def test_on_a_cpu_no_function_is_called_for_every_comparison():
    text = jax.jit(batches.order_of).lower(np.zeros(100, np.uint32)).as_text()
    (sort,) = [line for line in text.splitlines() if "stablehlo.sort" in line]
    assert sort.count("%") == 2, "one array alone, by its own order, is what XLA sorts by itself"


def test_the_switch_to_64_bits_ends_with_the_sort():
    def sums(words):
        return batches.order_of(words).sum(), jnp.arange(3.0) + 1

    _, numbers = jax.jit(sums)(np.arange(4, dtype=np.uint32))
    assert numbers.dtype == np.float32
