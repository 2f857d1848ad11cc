"""What may close a gap: ONE FILE EACH. A fix proposes; it knows nothing of how it is tried."""
