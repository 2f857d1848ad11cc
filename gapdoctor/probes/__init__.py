"""One file each: a question about the pair, its named limits, and what it measures."""
