"""The options of every data set, the config files that show them, and what importing them costs."""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import mia.data
from mia.checks import RequestError

CONF = Path(__file__).parents[2] / "conf" / "data"
NEEDED = {"path": "mine", "label": "class"}
CLASSES = {name: entry.options for name, entry in mia.data.DATASETS.items()}


def make(name, /, **values):
    kind = CLASSES[name]
    needed = {field.name: NEEDED[field.name] for field in dataclasses.fields(kind) if field.name in NEEDED}
    return kind(**(needed | values))


def test_every_data_set_has_a_config_file():
    assert set(CLASSES) == {path.stem for path in CONF.glob("*.yaml")}


@pytest.mark.parametrize("name", CLASSES)
def test_config_files_name_every_option_and_repeat_no_default(name):
    text = (CONF / f"{name}.yaml").read_text()
    values = yaml.safe_load(text)
    assert values.pop("defaults")[0] == {"/schema/data@_here_": name}
    defaults = {
        field.name: field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        for field in dataclasses.fields(CLASSES[name])
    }
    assert all(key in defaults and value != defaults[key] for key, value in values.items())
    for key in defaults.keys() - {"name"}:
        assert re.search(rf"^#? ?{key}: ", text, re.MULTILINE), f"{name}.yaml says nothing about {key}"


BAD = [
    ("digits", {"name": "cifar10"}, "data.name='cifar10' must stay 'digits'"),
    ("cifar10", {"root": " "}, "data.root=' ' must be a folder"),
    ("purchase", {"classes": 30}, "data.classes=30 must be one of 2, 10, 20, 50, 100"),
    ("arrays", {"path": ""}, "data.path='' must name an .npz file"),
    ("arrays", {"scale": 0.0}, "data.scale=0.0 must be a number above 0"),
    ("arrays", {"scale": float("nan")}, "data.scale=nan must be a number above 0"),
    ("images", {"path": ""}, "data.path='' must name a folder, zip or tar"),
    ("table", {"path": ""}, "data.path='' must name a .csv or .parquet file"),
    ("table", {"label": ""}, "data.label='' must name the column"),
    ("table", {"missing": "eror"}, "data.missing='eror' is not known, did you mean 'error'?"),
    ("table", {"drop": ["class"]}, "data.drop=['class'] must not list the label column"),
    ("table", {"categories": ["class"]}, "data.categories=['class'] must not list the label column"),
]


@pytest.mark.parametrize(("name", "values", "message"), BAD)
def test_impossible_values_are_refused(name, values, message):
    with pytest.raises(RequestError) as error:
        make(name, **values)
    assert str(error.value).startswith(message)


def test_a_name_without_a_loader_is_refused():
    with pytest.raises(RequestError, match=r"^data=DataOptions is no data set; known: adult, arrays, cifar10"):
        mia.data.load(mia.data.DataOptions())


def test_digits():
    data = mia.data.load(make("digits"))
    assert data.x.shape == (1797, 8, 8, 1)
    assert (data.x.dtype, data.y.dtype, data.scale, data.num_classes) == (np.uint8, np.int32, 1 / 16, 10)
    assert data.x.max() == 16


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_naming_a_data_set_imports_nothing_heavy():
    heavy = "{'numpy', 'jaxtyping', 'pooch', 'sklearn', 'pandas', 'PIL', 'pyarrow', 'jax', 'filelock'}"
    assert run(f"import sys, mia.data, mia.data.options; print(sorted({heavy} & set(sys.modules)))") == "[]"


def test_asking_for_all_data_sets_imports_only_what_all_need():
    heavy = "{'pooch', 'requests', 'sklearn', 'scipy', 'pandas', 'PIL', 'pyarrow', 'jax', 'filelock'}"
    code = f"import sys; from mia.data import DATASETS; DATASETS.items(); print(sorted({heavy} & set(sys.modules)))"
    assert run(code) == "[]"
