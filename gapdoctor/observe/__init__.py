"""Torch in, arrays out: the pair and its data become arrays, each computed once, on demand."""
