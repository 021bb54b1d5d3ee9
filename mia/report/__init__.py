"""Reads what runs found out and shows it: stored runs -> one tidy frame -> figures (one renderer), tables, a page.

Takes `Result`, `StoredRun` and a callable that finds artifacts; trains nothing, attacks nothing, knows no store.
Altair, vl-convert, pandas and jinja2 are imported inside functions, so that importing this folder stays cheap.

`frame.py` groups runs into settings with estimates, a `study.py`; `evidence.py` reads their records and curves.
`assets/figures.yaml` holds all figures, `figures.py` what those of a sweep are filled with, `run.py` those of a run;
`look.py` draws them. `tables.py` writes numbers, `published.py` those of papers beside ours, `sentences.py` what is
certain; `page.py` writes the page.
"""
