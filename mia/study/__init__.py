"""A study: what stored runs say together, whoever tells it: the report, the terminal, a sweep's note, `mia diff`.

Takes `StoredRun` and a callable that finds artifacts; opens no store, draws nothing, writes no file. What is shown of a
study as a page, a figure, a table or a file belongs to `mia/report`; what is computed over records or runs, without
knowing a setting, to `mia/metrics`.

`frame.py` groups runs into settings with estimates; `study.py` is what comes of it, with the words for keys and values;
`sentences.py` says what is certain, what runs warned about and why some did not finish.
"""
