"""What to train and in what order. Values, not scripts."""
