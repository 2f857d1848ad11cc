"""Distilling features: layers of both models paired, made comparable, and what sets them apart."""
