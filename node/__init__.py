"""One operator's node: the processes, the deterministic pipeline that they run, and the command line."""
