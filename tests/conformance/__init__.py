"""Real clients that nobody here wrote, against what is built here."""
