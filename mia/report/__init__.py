"""Reads what runs found out and shows it: stored runs -> one tidy frame -> figures (one renderer), tables, a page.

Takes `Result`, `StoredRun` and a callable that finds artifacts; trains nothing, attacks nothing, knows no store.
Altair, vl-convert, pandas and jinja2 are imported inside functions, so that importing this folder stays cheap.

`frame.py` groups runs into settings with estimates, those that `where.py` leaves; `evidence.py` reads their records and
curves. `figures.py` says what each figure of a sweep shows, `run.py` those of a single run, `assets/figures.yaml` holds
their specifications; `look.py` has their colours and draws them. `tables.py` writes numbers, `published.py` those of
papers beside ours, `sentences.py` what is certain; `page.py` writes the page, `console.py` the terminal's tables.
"""
