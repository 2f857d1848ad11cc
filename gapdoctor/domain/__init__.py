"""Plain frozen records. No torch work, no files, no printing."""
