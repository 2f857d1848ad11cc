"""Where trials run: in the caller's process, or in processes of their own."""
