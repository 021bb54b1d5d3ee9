"""Records as a table: each number beside its record, in the order of exposure."""

import csv

import numpy as np

import mia
from mia.tables import result_tables


def test_each_record_keeps_its_numbers_and_ranks_count_those_above_it():
    generator = np.random.default_rng(0)
    member = generator.integers(0, 2, 200)
    sure = np.round(generator.normal(size=200) + 2 * member, 1)  # with ties
    unsure = np.where(generator.random(200) < 0.1, np.nan, generator.normal(size=200))
    index = generator.permutation(1000)[:200]
    result = mia.audit(scores={"sure": sure, "unsure": unsure}, member=member, index=index)
    rows = list(csv.DictReader(result_tables(result)["records.csv"].splitlines()))
    assert sorted(int(row["index"]) for row in rows) == sorted(index.tolist())
    place = {number: at for at, number in enumerate(index.tolist())}
    for row in rows:
        at = place[int(row["index"])]
        assert int(row["member"]) == member[at]
        assert float(row["sure_score"]) == sure[at]
        assert int(row["sure_rank"]) == 1 + (sure > sure[at]).sum()
        assert not row["confidence"]  # scores alone say nothing of it
        if np.isnan(unsure[at]):
            assert row["unsure_score"] == row["unsure_rank"] == ""
        else:
            assert float(row["unsure_score"]) == float(f"{unsure[at]:.5g}")
            assert int(row["unsure_rank"]) == 1 + (unsure[~np.isnan(unsure)] > unsure[at]).sum()
    order = [(-int(row["member"]), int(row["sure_rank"])) for row in rows]
    assert order == sorted(order)


def test_a_class_called_like_a_formula_is_text_in_every_row():
    generator = np.random.default_rng(0)
    member, labels = generator.integers(0, 2, (3, 60)), generator.integers(0, 2, 60)
    logits = generator.normal(size=(3, 60, 2))
    names = ["=1+1", "plain"]
    result = mia.audit(logits[0], member[0], labels, logits[1:], member[1:], class_names=names, attacks=["loss"])
    rows = list(csv.DictReader(result_tables(result)["records.csv"].splitlines()))
    assert {(row["label"], row["class"]) for row in rows} == {("0", "'=1+1"), ("1", "plain")}
