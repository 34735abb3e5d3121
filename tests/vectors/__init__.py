"""Servers of recorded data: what our code answers to every case of a file, beside what the file expects."""
