"""Files of arrays in each format: the same arrays come back, and what is no such file is refused in one line."""

import io
import json
import os
import zipfile

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from mia.checks import RequestError
from mia.predictions.reading import read_array, read_arrays, widen_bfloat16

ARRAYS = {
    "target_logits": np.arange(12, dtype=np.float32).reshape(4, 3),
    "target_member": np.array([1, 0, 1, 0]),
    "labels": np.array([0, 1, 2, 0]),
    "shadow_logits": np.arange(24, dtype=np.float32).reshape(2, 4, 3),
    "shadow_member": np.array([[1, 0, 1, 0], [0, 1, 0, 1]]),
    "slice_age_2": np.array([1, 2, 3, 4]),
}


def as_frame():
    columns = {name: ARRAYS[name] for name in ("target_member", "labels", "slice_age_2")}
    columns |= {f"target_logits_{c}": ARRAYS["target_logits"][:, c] for c in range(3)}
    columns |= {f"shadow_member_{k}": ARRAYS["shadow_member"][k] for k in range(2)}
    columns |= {f"shadow_logits_{k}_{c}": ARRAYS["shadow_logits"][k, :, c] for k in range(2) for c in range(3)}
    return pd.DataFrame(columns)


WRITERS = {
    ".npz": lambda path: np.savez(path, **ARRAYS),
    ".csv": lambda path: as_frame().to_csv(path, index=False),
    ".parquet": lambda path: as_frame().to_parquet(path),
    ".safetensors": lambda path: save_file(ARRAYS, path),
}


@pytest.mark.parametrize("ending", WRITERS)
def test_every_format_gives_the_same_arrays(tmp_path, ending):
    path = tmp_path / f"signals{ending}"
    WRITERS[ending](path)
    found = read_arrays(path, f"signals={path}")
    assert set(found) == set(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)


def test_words_for_nothing_are_names_in_text_and_nan_in_numbers(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("labels,score,mine,none\nNone,1,0.5,nan\nNA,NA,,nan\nnull,3,nan,nan\n")
    found = read_arrays(path, "x")
    assert found["labels"].tolist() == ["None", "NA", "null"]
    np.testing.assert_array_equal(found["score"], [1, np.nan, 3])
    np.testing.assert_array_equal(found["mine"], [0.5, np.nan, np.nan])
    np.testing.assert_array_equal(found["none"], [np.nan] * 3)
    path.write_text("labels,score\na,1\n,2\n")
    with pytest.raises(RequestError, match="'labels' has empty cells"):
        read_arrays(path, "x")


def test_one_array_of_each_format(tmp_path):
    logits = ARRAYS["target_logits"]
    np.save(tmp_path / "0.npy", logits)
    np.savez(tmp_path / "0.npz", anything=logits)
    save_file({"x": logits}, tmp_path / "0.safetensors")
    pd.DataFrame(logits).to_csv(tmp_path / "0.csv", index=False, header=False)
    pd.DataFrame(logits, columns=["a", "b", "c"]).to_parquet(tmp_path / "0.parquet")
    for path in tmp_path.iterdir():
        np.testing.assert_array_equal(read_array(path, str(path)), logits)
    assert isinstance(read_array(tmp_path / "0.npy", ""), np.memmap)


def test_text_comes_as_text_and_bfloat16_as_the_numbers_it_holds(tmp_path):
    pd.DataFrame({"labels": ["cat", "dog"]}).to_csv(tmp_path / "labels.csv", index=False)
    assert read_array(tmp_path / "labels.csv", "").tolist() == ["cat", "dog"]
    values = np.array([1.0, -2.5, 0.15625], np.float32)
    bits = (values.view(np.uint32) >> 16).astype("<u2")
    np.testing.assert_array_equal(widen_bfloat16(bits), values)
    header = json.dumps({"x": {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]}}).encode()
    (tmp_path / "x.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bits.tobytes())
    np.testing.assert_array_equal(read_array(tmp_path / "x.safetensors", ""), values)


def archive(path, members):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members:
            file.writestr(name, content)


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=array.dtype == object)
    return buffer.getvalue()


def hostile(folder):
    """Yield files that must be refused, and what the line names."""
    plain = npy(np.zeros(3))
    archive(folder / "notes.npz", [("x.npy", plain), ("notes.txt", b"hello")])
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive(folder / "twice.npz", [("x.npy", plain), ("x.npy", plain)])
    archive(folder / "objects.npz", [("labels.npy", npy(np.array(["a", None], object)))])
    archive(folder / "cut.npz", [("x.npy", plain[:100])])
    (folder / "text.npz").write_text("no archive")
    (folder / "empty.csv").write_text("")
    (folder / "twice.csv").write_text("a,b,a\n1,2,3\n")
    (folder / "holes.csv").write_text("labels\na\n\nb\n")
    (folder / "gap.csv").write_text("target_logits_0,target_logits_2\n1,2\n")
    (folder / "claims.safetensors").write_bytes((10**9).to_bytes(8, "little") + b"{}")
    header = json.dumps({"x": {"dtype": "F32", "shape": [100], "data_offsets": [0, 400]}}).encode()
    (folder / "short.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"1234")
    (folder / "x.pkl").write_bytes(b"")
    (folder / "folder.npz").mkdir()
    os.mkfifo(folder / "pipe.npz")
    (folder / "zero.npz").symlink_to("/dev/zero")


HOSTILE = {
    "notes.npz": "notes.txt", "twice.npz": "'x' twice", "objects.npz": "np.asarray(labels, str)", "cut.npz": "damaged",
    "text.npz": "damaged", "empty.csv": "damaged", "twice.csv": "two columns 'a'", "gap.csv": "without a gap",
    "claims.safetensors": "claims", "short.safetensors": "outside the file", "x.pkl": "unknown format",
    "folder.npz": "is a folder", "pipe.npz": "no regular file", "zero.npz": "no regular file", "none.npz": "not exist",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_file_of_arrays_is_refused_in_one_line(tmp_path, name):
    hostile(tmp_path)
    with pytest.raises(RequestError, match=HOSTILE[name].replace("(", r"\(").replace(")", r"\)")) as refused:
        read_arrays(tmp_path / name, f"signals={name}")
    assert "\n" not in str(refused.value)
