"""A data set that an installed package adds: one module, plain options, no file of ours touched."""

import subprocess
import sys

MODULE = '''\
from dataclasses import dataclass

import numpy as np

from mia.data import dataset
from mia.records import Dataset


@dataclass
class BlobOptions:
    """Blobs: points around as many centres as there are classes."""

    classes: int = 2
    bad: float = 0.0


@dataset("blobs", options=BlobOptions)
def load_blobs(options, progress=None):
    y = np.arange(40, dtype=np.int32) % options.classes
    x = np.stack([y, y + options.bad], axis=1).astype(np.float32)
    return Dataset("blobs", x, y, options.classes)
'''
SCRIPT = """\
import sys
from mia.data import DATASETS, load
assert DATASETS.installed() == ["blobs"], DATASETS.installed()
assert "theirs" not in sys.modules
assert "blobs" in DATASETS and "digits" in DATASETS and not DATASETS.is_ours("blobs"), DATASETS.broken
options = DATASETS["blobs"].options
data = load(options(classes=4))
assert (data.name, data.num_classes, data.x.shape) == ("blobs", 4, (40, 2))
try:
    load(options(bad=float("nan")))
except ValueError as error:
    print(error)
"""


def test_an_installed_package_adds_a_data_set(tmp_path):
    (tmp_path / "theirs.py").write_text(MODULE)
    meta = tmp_path / "theirs-1.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1\n")
    (meta / "entry_points.txt").write_text("[mia.data]\nblobs = theirs\n")
    run = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.append({str(tmp_path)!r})\n{SCRIPT}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("data=blobs holds NaN or infinite values in 40 of 40 records")
