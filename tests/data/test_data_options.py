"""The options of every data set, the config files that show them, and what importing them costs."""

import dataclasses
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import yaml

import mia.data
from mia.checks import RequestError
from mia.data import options

CONF = Path(__file__).parents[2] / "conf" / "data"
NEEDED = {"path": "mine", "label": "class"}
CLASSES = {
    kind.name: kind
    for kind in vars(options).values()
    if isinstance(kind, type) and issubclass(kind, options.DataOptions) and kind.name
}


def make(name, /, **values):
    kind = CLASSES[name]
    needed = {field.name: NEEDED[field.name] for field in dataclasses.fields(kind) if field.name in NEEDED}
    return kind(**(needed | values))


def test_every_data_set_has_options_a_loader_and_a_config_file():
    assert set(CLASSES) == set(mia.data.LOADERS) == {path.stem for path in CONF.glob("*.yaml")}
    for target in mia.data.LOADERS.values():
        module, function = target.split(":")
        assert callable(getattr(import_module(f"mia.data.{module}"), function))


@pytest.mark.parametrize("name", mia.data.LOADERS)
def test_config_files_show_the_defaults(name):
    values = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    assert values.pop("defaults") == [{"/schema/data@_here_": name}, "_self_"]
    defaults = {
        field.name: field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        for field in dataclasses.fields(CLASSES[name])
    }
    assert values == defaults


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
    with pytest.raises(RequestError, match=r"^data\.name='' is not known; known: digits, cifar10"):
        mia.data.load(options.DataOptions())


def test_digits():
    data = mia.data.load(make("digits"))
    assert data.x.shape == (1797, 8, 8, 1)
    assert (data.x.dtype, data.y.dtype, data.scale, data.num_classes) == (np.uint8, np.int32, 1 / 16, 10)
    assert data.x.max() == 16


def test_options_are_light():
    heavy = "{'numpy', 'jaxtyping', 'pooch', 'sklearn', 'pandas', 'PIL', 'jax', 'filelock'}"
    code = f"import sys, mia.data, mia.data.options; print(sorted({heavy} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
