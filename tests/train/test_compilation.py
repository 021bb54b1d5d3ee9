"""What is compiled: a few programs for a whole run, none of them for arithmetic that NumPy does."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from mia.models.options import MlpOptions
from mia.train.many import train_many
from mia.train.options import TrainOptions
from mia.train.predict import predict
from mia.train.watch import Watch

SEEDS = np.arange(3, dtype=np.uint32)
OPTIONS = TrainOptions(epochs=2, batch_size=8, test_records=10)


@pytest.fixture
def programs():
    """Collect the names of the programs that are compiled, or taken from the cache on disk."""
    names = []

    def listen(event, seconds, fun_name="", **_):
        if event == "/jax/core/compile/backend_compile_duration":
            names.append(fun_name)

    jax.clear_caches()
    jax.monitoring.register_event_duration_secs_listener(listen)
    yield names
    jax.monitoring.unregister_event_duration_listener(listen)


def run(table, split, options=OPTIONS, seeds=SEEDS):
    members, nonmembers = split(3, 30, 120)
    shown = []
    watch = Watch(lambda _: [1], lambda one: shown.append(one.losses(members[one.position])))
    trained = list(train_many(table, members, nonmembers, seeds, MlpOptions(hidden=[7]), [options] * 3, watch=watch))
    for one in trained:
        predict(MlpOptions(hidden=[7]), one.parameters, table.x, table.scale, table.num_classes)
    return len(shown)


def test_a_run_compiles_one_program_of_each_kind_whatever_its_models_and_strengths(programs, table, split):
    assert run(table, split) == 3
    assert sorted(programs) == [f"jit({name})" for name in ("_advance", "_initialise", "_logits", "_losses")]
    run(table, split, replace(OPTIONS, l2=0.01, label_smoothing=0.1, weight_decay=0.1, learning_rate=0.1), SEEDS + 5)
    assert len(programs) == 4
