"""Data on disk. One file a source; the folder is the list."""
