import numpy as np
from mia.train.width import largest_fitting

from mia.train import devices


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
