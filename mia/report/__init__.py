"""Reads what runs found out and draws it: figures of a run, summary of a sweep, the HTML report.

Takes `Result` and `StoredRun`; trains nothing, attacks nothing and knows no store (artifacts come through a callable).
matplotlib is imported inside functions, so that importing this folder stays cheap.

Where to look: `run.py` (figures of one run), `console.py` (its table in the terminal), `records.py` (its records by
exposure), `summary.py` (rows, CSV, Markdown, LaTeX of a sweep), `sweep.py` (figures of a sweep), `page.py` (the HTML).
"""
