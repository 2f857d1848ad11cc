"""The only training loop: losses, schedules, optimizers, cached teacher outputs."""
