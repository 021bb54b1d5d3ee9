import os
import subprocess
import sys

import numpy as np
import pytest

from mia.train import devices
from mia.train.sharded import largest_fitting


def test_every_core_is_a_device_and_shares_the_data():
    on = devices.mesh()
    placed = devices.place_shared(np.arange(1000, dtype=np.float32).reshape(10, 100), on)
    addresses = {shard.data.unsafe_buffer_pointer() for shard in placed.addressable_shards}
    assert len(addresses) == 1
    np.testing.assert_array_equal(placed[3], np.arange(300, 400))


def test_the_cache_folder_follows_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert devices.cache_folder() == tmp_path / "mia" / "xla"


def test_as_many_models_as_memory_holds():
    assert largest_fitting(100, lambda width: 10 + 3 * width, 1000) == 100
    assert largest_fitting(100, lambda width: 10 + 3 * width, 100) == 30
    assert largest_fitting(100, lambda width: 10 + 3 * width, 5) == 1


@pytest.mark.parametrize(
    ("setting", "prepares", "said"),
    [
        ({"JAX_PLATFORMS": "cuda"}, True, "JAX_PLATFORMS='cuda' names no device"),
        ({"JAX_PLATFORMS": "abacus"}, True, "JAX_PLATFORMS='abacus' names no device"),
        ({"JAX_ENABLE_X64": "1"}, True, "trained"),
        ({"JAX_ENABLE_X64": "1"}, False, "JAX_ENABLE_X64"),
    ],
    ids=["no GPU", "no such platform", "double precision", "double precision of somebody else's program"],
)
def test_jax_s_own_settings_work_or_end_in_one_line(setting, prepares, said):
    found = subprocess.run(
        [sys.executable, "-c", TRAIN, str(prepares)],
        env=os.environ | setting,
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = found.stdout.splitlines()
    assert said in line


TRAIN = """
import sys
import numpy as np
from mia.checks import RequestError
from mia.models.options import MlpOptions
from mia.records import Dataset
from mia.train.devices import prepare
from mia.train.many import train_many
from mia.train.options import TrainOptions

if sys.argv[1] == "True":
    prepare()
data = Dataset("data", np.zeros((8, 3), np.float32), np.arange(8, dtype=np.int32) % 2, 2)
seeds = np.zeros(1, np.uint32)
try:
    rows = np.arange(4)[None], np.arange(4, 8)[None]
    (one,) = train_many(data, *rows, seeds, MlpOptions(hidden=[2]), [TrainOptions(epochs=1)])
    print("trained", one.train_loss.dtype)
except RequestError as error:
    print(error)
"""
