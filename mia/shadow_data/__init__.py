"""The attacker's own records: real ones with noise, drawn from marginals, or climbed out of the target's answers."""
