"""Sweeps: many configurations, checked before any runs, of which only those run that are not finished.

`check` composes and judges configurations; `resuming` is a sweeper of Hydra's that resumes from the store of runs and
leaves the launching to any launcher of Hydra's; `grid` lists every combination, `search` chooses trials from what came
of those before (`space`: from what; `study`: how; `front`: what was found); `request` runs what was asked for.
"""
