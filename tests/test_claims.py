"""Who may make the run of a configuration: one at a time."""

import threading
import time

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
