"""Leakage in numbers: takes scores and memberships, gives flat floats with intervals; never trains, reads or prints.

Import from the modules themselves, which load nothing heavier than NumPy and `scipy.special`:

    rates       exact and score intervals for proportions and their differences
    roc         the ROC with exact ties, true-positive rates at low false-positive rates
    auc         the area under it, with DeLong's interval, and the difference of two areas
    decision    accuracy, precision and the like at a rule learnt without the target's membership
    evaluation  all of these for one attack, with the null control, and per class
    epsilon     a lower bound on differential privacy's epsilon
    comparison  means over several targets, paired differences between two attacks or configurations
"""
