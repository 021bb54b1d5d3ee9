"""A package of somebody else, installed beside ours: listed, chosen, run and read back as if it were our own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PACKAGE = Path(__file__).parent / "outside_package"
ROOT = Path(__file__).parents[2]
POINTS = {
    "mia.attacks": {"confident": "confident_attack"},
    "mia.data": {"rings": "rings_data"},
    "mia.models": {"narrow": "narrow_model"},
    "mia.defences": {"clamp": "clamp_defence"},
    "mia.train_defences": {"focal": "focal_training"},
}
CHOSEN = [
    "data=rings", "data.records=120", "attack=[confident]", "attack.confident.power=2", "defence=clamp",
    "defence.range=2.5", "train.focal=0.5", "model=narrow", "model.hidden=5",
]  # fmt: skip


def install(site, points, name="theirs"):
    """Leave in a folder what an installer would: modules and what the package says of itself."""
    for file in PACKAGE.glob("*.py"):
        shutil.copy(file, site)
    info = site / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    groups = (f"[{group}]\n" + "".join(f"{one} = {module}\n" for one, module in own.items()) for group, own in points)
    (info / "entry_points.txt").write_text("\n".join(groups))
    return site


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return install(tmp_path_factory.mktemp("site"), POINTS.items())


@pytest.fixture(scope="module")
def broken_site(tmp_path_factory):
    """Another installation, where one package raises when it is imported."""
    folder = install(tmp_path_factory.mktemp("broken"), POINTS.items())
    (folder / "confident_attack.py").write_text("raise OSError('no licence:\\nbuy one')\n")
    return folder


def run(site, *arguments, code=None, home="nowhere"):
    """Run the command, or code, where the package is installed."""
    called = ["-m", "mia", *arguments] if code is None else ["-c", code]
    return subprocess.run(
        [sys.executable, *called],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, site))), "MIA_HOME": str(home)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_each_module_is_short():
    for file in PACKAGE.glob("*.py"):
        assert len(file.read_text().splitlines()) < 40, file


def test_the_help_lists_what_is_installed_and_imports_none_of_it(site):
    code = (
        "import sys\nfrom mia.cli.main import dispatch\ndispatch(['--help'])\n"
        f"imported = {[module for own in POINTS.values() for module in own.values()]} + ['numpy', 'hydra', 'yaml']\n"
        "sys.exit(str([name for name in imported if name in sys.modules] or ''))"
    )
    done = run(site, code=code)
    assert done.stderr.strip() == ""
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    for key, name in (("attack", "confident"), ("data", "rings"), ("model", "narrow"), ("defence", "clamp")):
        assert f", {name}" in lines[key] or f" {name}," in lines[key], lines[key]
    assert "train.focal" in done.stdout


def test_its_options_are_part_of_the_config(site):
    done = run(site, "--cfg", "job", *CHOSEN)
    assert done.returncode == 0, done.stderr
    for line in ("    power: 2.0", "  range: 2.5", "  focal: 0.5", "  records: 120", "  hidden: 5"):
        assert line in done.stdout.splitlines()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("attack.confident.power=-1", "attack.confident.power=-1.0 must be a number above 0"),
        ("attack.confident.powr=2", "did you mean 'attack.confident.power'"),
        ("defence=clmp", "did you mean 'clamp'"),
        ("train.focal=-1", "train.focal=-1.0 must be a number of 0 or more"),
    ],
)
def test_what_is_wrong_with_a_request_is_one_line(site, wrong, said):
    done = run(site, "--cfg", "job", *CHOSEN, wrong)
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert line.startswith("mia: error: ")
    assert said in line


def test_a_broken_package_is_one_line_of_warning_and_hides_nothing_else(broken_site):
    fine = run(broken_site, "--cfg", "job", "data=rings")
    assert fine.returncode == 0, fine.stderr
    reason = "attack=confident: the installed package's confident_attack cannot be used: no licence: buy one"
    assert fine.stderr.splitlines() == [f"mia: warning: {reason}"]
    refused = run(broken_site, "--cfg", "job", "attack=[confident]")
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1] == f"mia: error: {reason}"


IDENTITY = """
import numpy as np
from mia.composition import compose_config
from mia.config import Config, to_options
from mia.experiment.identity import pool_identity, run_identity
from mia.records import Dataset

data = Dataset("x", np.zeros((8, 2), np.float32), np.arange(8, dtype=np.int32) % 2, 2)
options = to_options(compose_config(CHOSEN), Config).experiment()
for train in (options.train, options.train.undefended()):
    identity = pool_identity(options, data, train)
    print(identity["model"], identity["train"].get("focal"))
print(run_identity(options, data)["attack"]["confident"], run_identity(options, data)["defence"])
"""


def test_what_it_adds_is_known_by_its_package_all_its_options_and_its_version(site, tmp_path):
    code = IDENTITY.replace("CHOSEN", repr([one for one in CHOSEN if "hidden" not in one and "records" not in one]))
    read = run(site, code=code)
    assert read.stdout.splitlines() == [
        "{'name': 'narrow', 'package': 'narrow_model', 'hidden': 4} {'package': 'focal_training', 'value': 0.5}",
        "{'name': 'narrow', 'package': 'narrow_model', 'hidden': 4} None",
        "{'package': 'confident_attack', 'power': 2.0} {'name': 'clamp', 'package': 'clamp_defence', 'range': 2.5}",
    ], read.stderr
    changed = install(tmp_path, POINTS.items())
    narrow = (changed / "narrow_model.py").read_text()
    narrow = narrow.replace("hidden: int = 4", "hidden: int = 8").replace(
        '@model("narrow"', '@model("narrow", version=2'
    )
    (changed / "narrow_model.py").write_text(narrow)
    read = run(changed, code=code)
    assert read.stdout.startswith("{'name': 'narrow', 'package': 'narrow_model', 'hidden': 8, 'version': 2} "), (
        read.stderr
    )


def test_a_defence_that_is_on_by_default_or_takes_a_part_s_name_is_not_used(tmp_path):
    folder = install(tmp_path, {"mia.train_defences": {"focal": "focal_training", "epochs": "epochs"}}.items())
    text = (folder / "focal_training.py").read_text()
    (folder / "epochs.py").write_text(text.replace('"focal"', '"epochs"'))
    (folder / "focal_training.py").write_text(text.replace("Number()", "Number(default=0.5)"))
    done = run(folder, "--cfg", "job")
    assert done.returncode == 0, done.stderr
    reasons = {
        "epochs": "epochs cannot be used: train.epochs is a part of training, it needs another name",
        "focal": "focal_training cannot be used: train.focal=0.5 is its default; it must be 0, no defence",
    }
    said = [f"mia: warning: train={name}: the installed package's {reason}" for name, reason in reasons.items()]
    assert sorted(done.stderr.splitlines()) == said


@pytest.mark.parametrize(
    ("file", "instead", "said"),
    [
        ("narrow_model", ("return Narrow()", "return None"), "model=narrow of narrow_model"),
        ("focal_training", ("import jax.numpy as jnp", "raise KeyError('a slip')"), "train=focal of focal_training"),
        ("rings_data", ("return Dataset", "raise KeyError('a slip')\n    return Dataset"), "data=rings of rings_data"),
        (
            "clamp_defence",
            ("return np.maximum", "raise KeyError('a slip')\n        return np.maximum"),
            "defence=clamp of",
        ),
    ],
)
def test_whose_code_failed_is_said(tmp_path, empty_home, file, instead, said):
    folder = install(tmp_path, POINTS.items())
    text = (folder / f"{file}.py").read_text()
    assert instead[0] in text
    (folder / f"{file}.py").write_text(text.replace(*instead))
    done = run(folder, *CHOSEN, "split.size=30", "split.num_shadows=1", "train.epochs=1", home=empty_home)
    assert done.returncode == 1, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "error" in line]
    assert said in line
    assert " failed: " in line


@pytest.mark.slow
def test_it_runs_from_the_command_line_and_is_read_back_as_it_was(site, empty_home):
    chosen = [*CHOSEN, "split.size=30", "split.num_shadows=1", "train.epochs=2"]
    done = run(site, *chosen, home=empty_home)
    assert done.returncode == 0, done.stderr
    folder = next((empty_home / "artifacts").glob("*/**/scores.npz")).parent
    with np.load(folder / "scores.npz") as scores:
        found = scores["confident"]
    assert found.max() <= (1 + 2 * np.exp(-2.5)) ** -2 + 1e-6  # the clamp bounds how sure an answer can be
    assert 1 / 9 <= found.min() < 1 / 3  # of three classes the largest has a third at least; that to the power of 2
    read = run(
        site,
        code="import sys\nfrom pathlib import Path\nfrom mia.config import from_stored\n"
        f"stored = from_stored(Path({str(folder / 'config.yaml')!r}).read_text())\noptions = stored.options\n"
        "print(stored.unknown, stored.missing)\n"
        "print(type(options.data).__name__, options.data.records, options.data.name)\n"
        "print(options.attack.chosen['confident'])\n"
        "print([one.words for one in options.settings()])\n",
    )
    assert read.stdout.splitlines() == [
        "() ()",
        "RingsOptions 120 rings",
        "ConfidentOptions(power=2.0)",
        "['focal loss gamma = 0.5', 'clamp 2.5']",
    ], read.stderr
    gone = run(
        "",
        code="from pathlib import Path\nfrom mia.config import from_stored\n"
        f"print(from_stored(Path({str(folder / 'config.yaml')!r}).read_text()).unknown)",
    )
    assert "attack.confident" in gone.stdout, gone.stderr
