"""A finished model at work: predictions of new files."""
