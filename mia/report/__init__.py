"""Reads what runs found out and draws it: figures of a run, summary of a sweep, the HTML report.

Takes `Result` and `StoredRun`; trains nothing, attacks nothing and knows no store (artifacts come through a callable).
matplotlib and plotly are imported inside functions, so that importing this folder stays cheap.

One run: `run.py` (figures), `console.py` (table in the terminal), `exposed.py` (records by exposure), `contact.py`.
A sweep: `axes.py`, `defence.py`, `grouping.py`, `settings.py` (what belongs together and what it is called), `table.py`
and `summary.py` (numbers), `sweep.py` (figures, one module for each kind).
The page: `page.py` (files), `sections.py` and `page_tables.py` (HTML), `assets/` (style and script).
A figure is described once, as values (`chart.py`), and drawn twice: for paper (`draw.py`, with `layout.py`, `panel.py`,
`shapes.py`) and for the page (`interactive.py`). How all of them look is decided in `style.py`.
"""
