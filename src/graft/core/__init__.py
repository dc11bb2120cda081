"""Value types, errors, seeds, devices, run folder, optional imports: imports nothing of ours."""
