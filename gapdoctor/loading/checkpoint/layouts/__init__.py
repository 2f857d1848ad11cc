"""Where in a file the weights lie, ONE FILE EACH."""
