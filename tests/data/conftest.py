"""No test here reads the user's data folder, writes to the user's cache folder or leaves the machine."""

import dataclasses

import pytest

from mia.data import files, sources


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setattr(files, "cache_folder", lambda: folder)
    monkeypatch.delenv("MIA_DATA_DIR", raising=False)
    nowhere = {
        name: tuple(dataclasses.replace(source, folder="http://127.0.0.1:9/") for source in data_set)
        for name, data_set in sources.SOURCES.items()
    }
    monkeypatch.setattr(files, "SOURCES", nowhere)
    return folder
