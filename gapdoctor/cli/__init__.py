"""The command line: one file a command, and one error boundary (`app`)."""
