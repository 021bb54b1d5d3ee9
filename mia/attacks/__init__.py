"""Attacks: from what models say about records to one score per record, high = member."""
