"""Process 1: mempool and blocks in, bundles out. The only process that holds the hot key."""
