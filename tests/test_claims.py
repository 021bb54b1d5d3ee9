"""Who may make the run of a configuration: one at a time."""

import threading
import time
from pathlib import Path

import pytest

from mia.store.claims import claimed


def test_a_claim_has_one_holder_at_a_time_and_leaves_nothing(tmp_path):
    holders, most, said = [0], [0], []

    def hold():
        for _ in range(10):
            with claimed(tmp_path / "claims", "x", said.append):
                holders[0] += 1
                most[0] = max(most[0], holders[0])
                time.sleep(0.001)
                holders[0] -= 1

    threads = [threading.Thread(target=hold) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert said
    assert not (tmp_path / "claims").exists()


def test_a_folder_that_goes_while_it_is_made_is_made_again(tmp_path, monkeypatch):
    made, calls = Path.mkdir, []

    def mkdir(self, *arguments, **options):
        calls.append(self)
        if len(calls) < 3:  # what pathlib says where a folder was there, and was gone when it looked
            raise FileExistsError(self)
        return made(self, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with claimed(tmp_path / "claims", "x", print):
        assert (tmp_path / "claims" / "x.claim").exists()
    assert len(calls) > 2


def test_a_file_in_the_folders_place_is_an_error(tmp_path):
    (tmp_path / "claims").write_text("")
    with pytest.raises(FileExistsError), claimed(tmp_path / "claims", "x", print):
        pass
