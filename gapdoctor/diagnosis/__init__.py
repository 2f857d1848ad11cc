"""Findings and the gap become ranked causes, in nats. Knows no probe by name."""
