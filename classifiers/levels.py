"""What statistics rest on: the level of intervals and the least there has to be of images and training runs."""

ALPHA = 0.05  # intervals are 95 %
MIN_GROUPS = 20  # independent images; below, an interval from resampling is too narrow to be believed
MIN_SEEDS = 3  # training runs; below, the variance between runs cannot be estimated
