"""Prediction files as people have them: each is audited rightly, or refused in one line."""

import json
import warnings

import numpy as np
import pytest
from field_makers import damage, npy, npz, survives

from mia.attacks import ATTACKS
from mia.checks import RequestError
from mia.experiment.audit import run_audit
from mia.predictions.audit import make_audit_of_scores
from mia.predictions.forms import make_audit
from mia.predictions.reading import read_array, read_arrays

RECORDS, SHADOWS, CLASSES, ROUNDS = 60, 4, 3, 60
RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, CLASSES, RECORDS)
MEMBER = np.tile([0, 1], RECORDS // 2)
SHADOW_MEMBER = RNG.integers(0, 2, (SHADOWS, RECORDS))
TARGET, SHADOW = RNG.normal(size=(RECORDS, CLASSES)), RNG.normal(size=(SHADOWS, RECORDS, CLASSES))
LOGITS = {
    "target_logits": TARGET, "target_member": MEMBER, "labels": LABELS, "shadow_logits": SHADOW,
    "shadow_member": SHADOW_MEMBER,
}  # fmt: skip
TEXTS = np.array(["a", "b", "c"])


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)


PROBABILITIES = {
    "target_probabilities": softmax(TARGET), "target_member": MEMBER, "labels": LABELS,
    "shadow_probabilities": softmax(SHADOW), "shadow_member": SHADOW_MEMBER,
}  # fmt: skip


def narrow(array):
    """Return what NumPy makes of bfloat16 in a file: two bytes without a type."""
    return (np.asarray(array, np.float32).view(np.uint32) >> 16).astype(np.uint16).view("V2")


def auc(audit):
    result = run_audit(audit, {"loss": ATTACKS["loss"].options()}, 0, is_chosen=False)
    return result.metrics["attack/loss/auc"]


EXACT = auc(make_audit(LOGITS))
SAME = {  # what is read like the plain file, and the words that say how
    "plain": (LOGITS, ""),
    "float16": ({**LOGITS, "target_logits": TARGET.astype("f2")}, ""),
    "bfloat16": ({**LOGITS, "target_logits": narrow(TARGET), "shadow_logits": narrow(SHADOW)}, ""),
    "labels as text": ({**LOGITS, "labels": TEXTS[LABELS]}, "sorted order"),
    "labels as bytes": ({**LOGITS, "labels": TEXTS.astype("S")[LABELS]}, "sorted order"),
    "labels from 1": ({**LOGITS, "labels": LABELS + 1}, "counted from 1"),
    "labels one-hot": ({**LOGITS, "labels": np.eye(CLASSES)[LABELS]}, "one-hot"),
    "labels in a column": ({**LOGITS, "labels": LABELS[:, None]}, ""),
    "labels beyond int64": ({**LOGITS, "labels": LABELS.astype("u8") + np.uint64(2**63)}, "9223372036854775808, "),
    "member as bool": ({**LOGITS, "target_member": MEMBER > 0}, ""),
    "probabilities": (PROBABILITIES, ""),
    "probabilities in bfloat16": (
        {name: narrow(one) if "prob" in name else one for name, one in PROBABILITIES.items()}, "do not sum to 1"
    ),
    "rounding below 0": (
        {**PROBABILITIES, "target_probabilities": softmax(TARGET) - 1e-9 * (softmax(TARGET) < 0.01)}, ""
    ),
    "labels that leave out the first class": ({**LOGITS, "labels": LABELS % 2 + 1}, "never holds 0"),
}  # fmt: skip
REFUSED = {
    "probabilities called logits": (
        {**LOGITS, "target_logits": softmax(TARGET)}, "these are probabilities; call them target_probabilities"
    ),
    "per cent": ({**PROBABILITIES, "target_probabilities": softmax(TARGET) * 100}, "per cent? divide by 100"),
    "logits called probabilities": ({**PROBABILITIES, "target_probabilities": TARGET}, "are they logits?"),
    "too large": ({**LOGITS, "target_logits": TARGET * 1e300}, "is the most that can be computed with"),
    "infinite": ({**LOGITS, "target_logits": np.where(TARGET > 2, np.inf, TARGET)}, "NaN or infinite"),
    "names with a line break": ({**LOGITS, "class_names": np.array(["a\nb", "b", "c"])}, "class_names holds text"),
    "names with an escape code": ({**LOGITS, "class_names": np.array(["\x1b[1m", "b", "c"])}, "not printable"),
    "names that are empty": ({**LOGITS, "class_names": np.array(["", "b", "c"])}, "empty or not printable"),
    "names that are no UTF-8": ({**LOGITS, "class_names": np.array([b"\xff", b"b", b"c"])}, "class_names holds text"),
    "names in a square": ({**LOGITS, "class_names": TEXTS[:, None]}, "class_names has shape (3, 1)"),
    "an index with an escape code": ({**LOGITS, "index": np.array(["\x1b[1m"] * RECORDS)}, "index holds text"),
    "groups without a value": ({**LOGITS, "groups": np.full(RECORDS, np.nan)}, "groups has no value in 60"),
    "a slice outside": ({**LOGITS, "slice_../x": LABELS}, "the slice '../x' must be a name"),
    "everybody in": ({**LOGITS, "target_member": MEMBER * 0 + 1}, "target_member holds 1 for every record"),
    "nobody in": ({**LOGITS, "target_member": MEMBER * 0}, "target_member holds 0 for every record"),
    "nobody asked": ({**LOGITS, "target_member": MEMBER * 0 - 1}, "nothing to evaluate"),
    "independent as a number": ({**LOGITS, "independent": np.array(7)}, "one true or false"),
    "models of one kind alone": ({"logits": SHADOW, "member": SHADOW_MEMBER * 0, "labels": LABELS}, "both 1 and 0"),
}  # fmt: skip


def written(folder, arrays, raw=()):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile on doubled names
        return npz(raw, **arrays)(folder)


@pytest.mark.parametrize("name", SAME)
def test_files_that_mean_the_same_give_the_same(name, tmp_path):
    arrays, words = SAME[name]
    audit = make_audit(read_arrays(written(tmp_path, arrays), "signals=mine.npz"))
    assert words in " ".join(audit.warnings)
    if "leave out" not in name:
        assert auc(audit) == pytest.approx(EXACT, abs=0.02 if "bfloat16" in name else 2e-3)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_meant_is_refused_in_one_line(name, tmp_path):
    arrays, words = REFUSED[name]
    with pytest.raises(RequestError) as error:
        make_audit(read_arrays(written(tmp_path, arrays), "signals=mine.npz"))
    assert words in str(error.value)
    assert str(error.value).isprintable()


def test_models_that_saw_all_or_nothing_are_no_targets():
    member = np.concatenate([SHADOW_MEMBER[:3], np.zeros((1, RECORDS), int)])
    audit = make_audit({"logits": SHADOW, "member": member, "labels": LABELS})
    assert len(audit.tasks) == 3
    assert "1 of 4 models have no 1, or no 0, in member" in " ".join(audit.warnings)
    assert 0 <= auc(audit) <= 1


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"a\x1bb": TARGET[:, 0]}, "the score 'a\\x1bb' must be a name"),
        ({"a=b": TARGET[:, 0]}, "must be a name"),
        ({"mine": TARGET[:, 0] * np.nan}, "mine scores no record"),
        ({"mine": TEXTS[LABELS]}, "must be numbers"),
    ],
)
def test_scores_that_cannot_be_meant_are_refused(arrays, words):
    with pytest.raises(RequestError, match=words.replace("\\", "\\\\")):
        make_audit_of_scores({"member": MEMBER, **arrays})


MEMBERS = {
    "no array": ("readme.txt", b"hello", "which is no array"),
    "twice": ("labels.npy", npy(LABELS), "twice"),
    "an empty array": ("labels2.npy", b"", "damaged"),
    "code in a header": ("x.npy", b"\x93NUMPY\x01\x00\x10\x00__import__('os')\n", "damaged"),
    "objects": ("index.npy", npy(np.array([None] * 60, object)), "Python objects"),
}


@pytest.mark.parametrize("name", MEMBERS)
def test_odd_members_of_archives_are_refused(name, tmp_path):
    member, content, words = MEMBERS[name]
    with pytest.raises(RequestError, match=words) as error:
        read_arrays(written(tmp_path, LOGITS, [(member, content)]), "signals=mine.npz")
    assert str(error.value).startswith("signals=mine.npz ")


def safetensors(arrays):
    from safetensors.numpy import save

    return save({name: np.ascontiguousarray(one) for name, one in arrays.items()})


def tables(folder):
    import pandas as pd

    flat = pd.DataFrame({"target_member": MEMBER, "labels": TEXTS[LABELS], "index": [f"p{i}" for i in range(RECORDS)]})
    for i in range(CLASSES):
        flat[f"target_logits_{i}"] = TARGET[:, i]
    flat.to_parquet(folder / "seed.parquet")
    return flat.to_csv(index=False).encode(), (folder / "seed.parquet").read_bytes()


@pytest.mark.parametrize("kind", [".npz", ".csv", ".parquet", ".safetensors", ".npy"])
def test_damaged_files_are_read_or_refused(kind, tmp_path):
    rng = np.random.default_rng(5)
    csv, parquet = tables(tmp_path)
    seed = {
        ".npz": written(tmp_path, LOGITS).read_bytes(), ".csv": csv, ".parquet": parquet,
        ".safetensors": safetensors(LOGITS), ".npy": npy(TARGET),
    }[kind]  # fmt: skip
    path = tmp_path / f"broken{kind}"
    for i in range(ROUNDS * 2):
        # headers are where damage matters
        path.write_bytes(damage(seed[:200], rng) + seed[200:] if i % 2 else damage(seed, rng))
        survives(lambda: read_array(path, "it") if kind == ".npy" else make_audit(read_arrays(path, "it")))


def test_headers_of_safetensors_that_lie_are_refused(tmp_path):
    path = tmp_path / "mine.safetensors"
    for header in (
        [], {"a": 1}, {"a": {}}, {"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}, {"a": {"dtype": "F8", "shape": [1]}},
        {"a": {"dtype": "F32", "shape": ["x"], "data_offsets": [0, 4]}},
    ):  # fmt: skip
        text = json.dumps(header).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + b"\0" * 8)
        with pytest.raises(RequestError, match="signals=mine"):
            read_arrays(path, "signals=mine.safetensors")
    path.write_bytes((20_000).to_bytes(8, "little") + b"[" * 20_000)
    with pytest.raises(RequestError, match="damaged"):
        read_arrays(path, "signals=mine.safetensors")
