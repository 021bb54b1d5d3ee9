"""One experiment, from options and data to a result: the only place that knows the order of the stages."""
