"""Arrays in, numbers out. Never imports torch, reads a file or prints."""
