"""The batched convex solver: many weighted, penalised softmax or sigmoid regressions over one feature matrix."""
