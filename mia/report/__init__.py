"""Shows what runs found out: figures (one renderer), tables, a page, and the same numbers as files.

Takes a `Result`, or a `Study` (see `mia/study`) and a callable that finds artifacts; trains nothing, attacks nothing,
knows no store. Altair, vl-convert, pandas and jinja2 are imported inside functions, so that importing this folder stays
cheap.

`evidence.py` reads the records and curves of a study, `found.py` and `searched.py` make frames of them.
`assets/figures.yaml` holds all figures, `figures.py` what those of a sweep are filled with, `run.py` those of a run;
`look.py` draws them. `tables.py` writes numbers, `published.py` those of papers beside ours; `sweep.py` and `run.py`
say what stands on a page, `page.py` writes it.
"""
