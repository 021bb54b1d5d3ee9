"""Damaged files of every kind: a RequestError or a success, nothing else.

Files are good ones with bytes changed, cut, doubled or moved, the same ones in every run. Archives are also made anew
around damaged members, so that checksums are right and the damage reaches the reader of the member.
"""

import numpy as np
import pytest
from field_makers import RECORDS, csv_of, damage, deep_png, files, npy, npz, parquet, pets, picture, survives

from mia.checks import RequestError
from mia.data import DATASETS, load
from mia.sweep_files import read_sweep

ROUNDS = 60


def made(maker, folder):
    folder.mkdir()
    return maker(folder).read_bytes()


def table_seeds(folder):
    rich = {
        "a": ["12,345", "1,234,567"],
        "b": ["1.5", "2"],
        "c": ["x y", 'say ""hi""'],
        "d": ["2020-01-31", "2020-02-01"],
        "e": ["3 %", ""],
    }
    foreign = "\ufeff" + csv_of({"ä": ["ö", "ü"]})
    return [csv_of(rich).encode(), csv_of({"a": ["1"]}, end="\r\n").encode(), foreign.encode()]


def parquet_seeds(folder):
    numbers = {"a": np.arange(RECORDS) / 2, "b": ["x", "y", None] * 8, "c": [True, False] * 12}
    return [made(parquet(numbers), folder / "one")]


def arrays():
    return {"x": np.arange(12.0).reshape(6, 2), "y": np.array([0, 1] * 3), "class_names": np.array(["a", "b"])}


def npz_seeds(folder):
    return [made(npz(**arrays()), folder / "one")]


def ask(name, path, **options):
    needed = {"label": "class"} if name == "table" else {}
    return load(DATASETS[name].options(**{"path": str(path), **needed, **options}))


WHOLE = {"table .csv": table_seeds, "table .parquet": parquet_seeds, "arrays .npz": npz_seeds}


@pytest.mark.parametrize("kind", WHOLE)
def test_damaged_files_are_read_or_refused(kind, tmp_path):
    name, suffix = kind.split()
    rng = np.random.default_rng(0)
    seeds = WHOLE[kind](tmp_path)
    path = tmp_path / f"mine{suffix}"
    options = [
        {},
        {"header": False, "label": "c1"},
        {"separator": "semicolon"},
        {"missing": "indicator", "decimal": "comma"},
    ]
    for i in range(ROUNDS * 2):
        path.write_bytes(damage(seeds[i % len(seeds)], rng))
        survives(lambda: ask(name, path, **(options[i % len(options)] if name == "table" else {})))  # noqa: B023


def test_damaged_arrays_in_whole_archives_are_read_or_refused(tmp_path):
    rng = np.random.default_rng(1)
    good = {f"{name}.npy": npy(array) for name, array in arrays().items()}
    read = 0
    for i in range(ROUNDS * 3):
        which = list(good)[i % 3]
        content = good[which]
        path = npz(raw=(good | {which: damage(content[:128], rng) + content[128:]}).items())(tmp_path)
        read += survives(lambda: ask("arrays", path))  # noqa: B023
    assert read


def picture_seeds():
    pixels = pets()["cat/0.png"]
    kinds = {"png": "PNG", "jpg": "JPEG", "gif": "GIF", "bmp": "BMP", "tif": "TIFF", "webp": "WEBP", "ppm": "PPM"}
    deep = deep_png(np.arange(60, dtype=np.uint16).reshape(4, 5, 3) * 999)
    return {ending: picture(pixels, kind) for ending, kind in kinds.items()} | {"deep.png": deep}


@pytest.mark.parametrize("kind", picture_seeds())
def test_damaged_pictures_are_read_or_refused(kind, tmp_path):
    rng = np.random.default_rng(2)
    seed = picture_seeds()[kind]
    for i in range(ROUNDS // 2):
        members = {f"{name}.{kind}": seed for name in ("cat/0", "cat/1", "dog/0", "dog/1")}
        members[f"cat/1.{kind}"] = damage(seed, rng)
        (tmp_path / str(i)).mkdir()
        path = files(members)(tmp_path / str(i))
        survives(lambda: ask("images", path, depth=8))  # noqa: B023


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_damaged_archives_of_pictures_are_read_or_refused(kind, tmp_path):
    rng = np.random.default_rng(3)
    members = {name: picture(pixels) for name, pixels in pets(each=2).items()}
    seed = made(files(members, kind), tmp_path / "one")
    heads = [i for i in range(len(seed)) if (seed[i : i + 2] == b"PK" if kind == "zip" else i % 512 == 0)]
    for i in range(ROUNDS):
        start, stop = (at := int(rng.choice(heads)), at + 160) if i % 2 else (0, len(seed))
        path = tmp_path / f"{i}.{kind}"
        path.write_bytes(seed[:start] + damage(seed[start:stop], rng) + seed[stop:])
        survives(lambda: ask("images", path))  # noqa: B023


SWEEP = b"""\
# Question: what for? (a study)
#   of lines that go on
defaults:
  - override /data: digits
  - override /attack: [loss, gap]
split: {size: 300, num_shadows: 2}
variants:
  none: ""
  l2: train.l2=5e-4 train.epochs=3
hydra:
  sweeper:
    params:
      train.l2: 0,1e-3
"""


def test_damaged_yaml_is_read_or_refused(tmp_path, monkeypatch):
    rng = np.random.default_rng(4)
    path = tmp_path / "sweeps" / "mine.yaml"
    path.parent.mkdir()
    monkeypatch.chdir(tmp_path)

    def read():
        return read_sweep("mine", tmp_path, ["split", "train", "seed"], ["data", "attack", "split", "train"])

    path.write_bytes(SWEEP)
    assert read().variants
    for _ in range(ROUNDS * 4):
        path.write_bytes(damage(SWEEP, rng))
        survives(read)


def test_the_seeds_themselves_are_read(tmp_path):
    for kind, seeds in WHOLE.items():
        name, suffix = kind.split()
        (tmp_path / name / suffix).mkdir(parents=True)
        for content in seeds(tmp_path / name / suffix):
            path = tmp_path / f"mine{suffix}"
            path.write_bytes(content)
            ask(name, path, **({"missing": "indicator"} if name == "table" else {}))


def test_a_sweep_that_lists_more_than_any_memory_holds_is_refused(listed):
    for typed in (["seed=range(0,100000000)"], ["seed=range(0,1000)", "split.size=range(100,1100)"]):
        with pytest.raises(RequestError, match="at most 20,000 are run at once"):
            listed(typed)
