"""The loop, optimizers, schedules, weight averages, checkpoints, and pictures as the loop eats them."""
