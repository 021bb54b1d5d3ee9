"""What is stored of a result, besides what a whole run shows."""

import numpy as np
import pytest

from mia.cli.publish import publish
from mia.records import Result
from mia.tracking import Tracker, TrackingOptions
from mia.train.options import CHOSEN


@pytest.mark.parametrize("chosen", ["auto: batches of 128 go through cnn 32 at a time, 9,000 records a second", ""])
def test_how_steps_were_taken_is_a_tag(empty_home, chosen):
    empty = np.zeros(0, np.int64)
    said = ("few records", *([CHOSEN + chosen] if chosen else []))
    result = Result({}, empty, empty.astype(bool), empty, empty.astype(float), {}, (), None, None, (), said)
    tracker = Tracker.open(TrackingOptions(), empty_home)
    with tracker.run(name="a", fingerprint="f") as run:
        publish(run, result)
    tags = tracker.get(run.id).tags
    assert tags.get("mia.engine", "") == chosen
    assert tags["mia.warnings"].splitlines() == list(said)
