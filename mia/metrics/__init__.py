"""Leakage in numbers: takes scores and memberships, gives flat floats with intervals; never trains, reads or prints.

Import from the modules themselves; they load NumPy and `scipy.special`, and what is heavier only when it is used:

    rates          exact and score intervals for proportions and their differences
    clusters       what records are worth that belong together (those of one person)
    roc            the ROC with exact ties, true-positive rates at low false-positive rates
    auc            the area under it, with DeLong's interval, and the difference of two areas
    decision       accuracy, precision and the like at a rule learnt without the target's membership
    learnt_rates   the same at thresholds learnt for a false-positive rate, and precision at several priors
    controls       the null control and the placebo: what the same achieves where there is nothing to find
    evaluation     all of these for one attack, and per class
    groups         people in place of records
    slices         who is exposed: by class, confidence or any column, and where slices differ
    discoveries    which records are exposed, with the false discovery rate controlled
    over_seeds     what repeats: coverage and stability over seeds, whom attacks find together
    comparison     means over several targets, paired differences between two attacks or configurations
    privacy_bounds audits of differential privacy by canaries: lower bounds on epsilon and on GDP's mu
    duci           the share of a data set that was used in training
    assumptions    whether what an attack takes for granted holds: normal answers, scores that still rank
    power_law      how leakage falls with the number of examples
"""
