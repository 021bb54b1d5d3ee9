"""Reads what runs found out and shows it: stored runs -> one tidy frame -> figures (one renderer), tables, a page.

Takes `Result`, `StoredRun` and a callable that finds artifacts; trains nothing, attacks nothing, knows no store. Altair,
vl-convert, pandas and jinja2 are imported inside functions, so that importing this folder stays cheap.

`frame.py` groups runs into settings with estimates; `evidence.py` reads their records and curves; `statistics.py` says
what is certain. `figures.py` and `closer.py` hold one function per figure of a sweep, `run.py` those of a single run,
`look.py` how all of them look and how they are drawn. `tables.py` writes numbers, `page.py` the page, `console.py` the
terminal's tables; `where.py` is the small language of filters.
"""
