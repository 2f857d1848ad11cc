"""From disk to a Case: config, code, checkpoints, data, recipe and history."""
