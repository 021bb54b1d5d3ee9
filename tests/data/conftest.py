"""No test here reads the user's data folder, writes to the user's cache folder or leaves the machine."""

import dataclasses

import pytest

from mia.data import DATASETS, cache


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setattr(cache, "cache_folder", lambda: folder)
    monkeypatch.delenv("MIA_DATA_DIR", raising=False)
    for entry in (DATASETS[name] for name in DATASETS):
        if official := getattr(entry.options, "sources", None):
            nowhere = tuple(dataclasses.replace(source, folder="http://127.0.0.1:9/") for source in official)
            monkeypatch.setattr(entry.options, "sources", nowhere)
    return folder
