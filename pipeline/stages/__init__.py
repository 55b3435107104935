"""The steps of a run, each from small records to a small record."""
