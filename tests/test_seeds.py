"""Streams of named stages: repeatable, and independent of one another."""

from mia.seeds import stage_generator, stage_seed


def test_the_same_stage_gives_the_same_stream_and_another_another():
    first = stage_generator(0, "split", 1).random(4).tolist()
    assert first == stage_generator(0, "split", 1).random(4).tolist()
    others = [stage_generator(1, "split", 1), stage_generator(0, "train", 1), stage_generator(0, "split", 2)]
    assert all(first != other.random(4).tolist() for other in others)


def test_seeds_of_many_models_differ():
    assert len({stage_seed(0, "train", model) for model in range(1000)}) == 1000
