"""What the node did and why, on disk: written by the desk, read by the desk and the command line."""
