"""Arrays as people save them: what is meant is understood and said, what cannot be meant is refused."""

import numpy as np
import pandas as pd
import pytest

from mia.checks import RequestError
from mia.predictions.labels import tidy_labels, tidy_names
from mia.predictions.tidy import as_array, tidy_member, tidy_outputs


def labels_of(given, num_classes=3, names=()):
    notes = []
    labels, names = tidy_labels("labels", given, 4, num_classes, names, notes)
    return labels.tolist(), names, " ".join(notes)


@pytest.mark.parametrize(
    ("given", "names", "expected", "said"),
    [
        ([0, 1, 2, 0], (), [0, 1, 2, 0], ""),
        ([0, 0, 0, 1], (), [0, 0, 0, 1], ""),  # a class that no record has
        ([1, 2, 3, 1], (), [0, 1, 2, 0], "counted from 1"),
        (np.array([0.0, 1.0, 2.0, 0.0]), (), [0, 1, 2, 0], ""),
        ([[0], [1], [2], [0]], (), [0, 1, 2, 0], ""),
        (np.eye(3)[[0, 1, 2, 0]], (), [0, 1, 2, 0], "one-hot"),
        (["b", "a", "c", "a"], (), [1, 0, 2, 0], "sorted order, a, b, c"),
        (["b", "a", "b", "a"], ("c", "b", "a"), [1, 2, 1, 2], ""),
        (pd.Series(["b", "a", "c", "a"]), (), [1, 0, 2, 0], "sorted order"),
        (np.array(["b", "a", "c", "a"], object), (), [1, 0, 2, 0], "sorted order"),
        ([10, 2, 7, 2], (), [2, 0, 1, 0], "sorted order, 2, 7, 10"),  # as numbers, not as text
        ([10, 2, 7, 2], ("7", "2", "10"), [2, 1, 0, 1], ""),
    ],
    ids=str,
)
def test_labels_are_understood(given, names, expected, said):
    labels, _, notes = labels_of(given, names=names)
    assert labels == expected
    assert said in notes
    assert bool(said) == bool(notes)


@pytest.mark.parametrize("binary", [[-1, 1, 1, -1], [False, True, True, False], ["no", "yes", "yes", "no"]])
def test_two_classes_by_any_name(binary):
    assert labels_of(binary, 2)[0] == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("given", "names", "message"),
    [
        ([0, 1, 2], (), r"shape \(3,\)"),
        ([0, 1, 2, 5], (), "holds 5, which is none of the 3 columns"),
        ([0, 1, 0.5, 0], (), r"0\.5"),
        ([0, 1, np.nan, 0], (), "nan"),
        (["a", "b", "a", "b"], (), "2 different names"),
        (["a", "b", "d", "b"], ("a", "b", "c"), "'d', which is none of class_names"),
        (np.full((4, 3), 0.3), (), "one-hot"),
        (np.array([0, None, 1, 2], object), (), "Python objects, such as None"),
    ],
    ids=str,
)
def test_labels_that_cannot_be_meant_are_refused(given, names, message):
    with pytest.raises(RequestError, match=message):
        labels_of(given, names=names)


@pytest.mark.parametrize(
    ("given", "message"),
    [(["a", "b"], "2 names for 3 classes"), ([["a", "b", "c"]] * 2, "one order"), (["a", "b", "a"], "'a' twice")],
)
def test_names_must_be_one_per_column(given, message):
    with pytest.raises(RequestError, match=message):
        tidy_names(given, 3)
    assert tidy_names(np.array([b"a", b"b", b"c"]), 3) == ("a", "b", "c")


def outputs_of(given, kind="logits", axes=2):
    notes = []
    return tidy_outputs(
        "target", np.asarray(given) if not hasattr(given, "detach") else given, kind, axes, notes
    ), notes


WIDTHS = {"f2": "f4", "i2": "f4", "i4": "f8", "i8": "f8", "f4": "f4", ">f4": "f4", "f8": "f8", ">f8": "f8"}


def test_narrow_numbers_are_widened_and_wide_ones_kept():
    for kind, expected in (
        ("f2", "f4"),
        ("i2", "f4"),
        ("i4", "f8"),
        ("f4", "f4"),
        (">f4", "f4"),
        ("f8", "f8"),
        (">f8", "f8"),
    ):
        assert outputs_of(np.ones((4, 3), kind))[0].dtype == expected


def test_one_column_is_the_second_of_two_classes():
    p = np.array([0.25, 1.0])
    for given in (p, p[:, None]):
        found, notes = outputs_of(given, "probabilities")
        np.testing.assert_array_equal(found, [[0.75, 0.25], [0, 1]])
        assert "second of two classes" in notes[0]
    np.testing.assert_array_equal(outputs_of([2.0, -1.0])[0], [[0, 2], [0, -1]])
    assert outputs_of(np.ones((5, 4)) / 2, "probabilities", 3)[0].shape == (5, 4, 2)


def test_probabilities_that_sum_to_one_only_nearly_are_taken_and_the_worst_is_said():
    found, notes = outputs_of([[0.5, 0.48], [0.5, 0.5]], "probabilities")
    np.testing.assert_array_equal(found, [[0.5, 0.48], [0.5, 0.5]])
    assert "1 of 2 answers do not sum to 1 (the worst to 0.98)" in notes[0]
    assert outputs_of([[0.0, 1.0]], "probabilities")[1] == []


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ([[1.5, 0.0]], "probabilities", "1.5: are they logits?"),
        ([[-0.1, 1.1]], "probabilities", "-0.1: are they logits?"),
        ([[1e300, 0.0]], "logits", r"as large as 1e\+300"),
        ([[np.nan, 0.0]], "logits", "1 values that are NaN"),
        ([[1, 2]], "losses", r"shape \(1, 2\)"),
        ([["a", "b"]], "logits", "type <U1"),
        (np.zeros((3, 0)), "logits", "no class"),
    ],
)
def test_outputs_that_cannot_be_meant_are_refused(given, kind, message):
    with pytest.raises(RequestError, match=message):
        outputs_of(given, kind)


def test_losses_become_one_column_of_minus_the_loss():
    np.testing.assert_array_equal(outputs_of([1.0, 3.0], "losses")[0], [[-1.0], [-3.0]])


def test_membership_is_one_zero_or_minus_one():
    assert tidy_member("member", [True, False], (2,)).tolist() == [1, 0]
    for wrong, message in (([2, 0], "holds 2"), ([1, 0, 1], r"shape \(3,\)"), (["in", "out"], "type <U3")):
        with pytest.raises(RequestError, match=message):
            tidy_member("member", wrong, (2,))


class Tensor:
    """As much of a torch tensor as is asked: gradients, bfloat16 and another device stand in NumPy's way."""

    dtype = "torch.bfloat16"

    def __init__(self, values, is_ready=False):
        self.values, self.is_ready = values, is_ready

    def detach(self):
        return self

    def cpu(self):
        return self

    def float(self):
        return Tensor(self.values, is_ready=True)

    def __array__(self, dtype=None, copy=None):
        assert self.is_ready, "bfloat16 has no NumPy type"
        return np.asarray(self.values, np.float32)


def test_tensors_and_jax_arrays_are_arrays():
    import jax.numpy as jnp

    np.testing.assert_array_equal(as_array("x", Tensor([1.0, 2.0])), [1, 2])
    for kind in (jnp.float32, jnp.bfloat16, jnp.float16):
        np.testing.assert_array_equal(as_array("x", jnp.array([1.0, 2.5], kind)), [1, 2.5])
