"""Peers that mean harm, for storms over real sentries: what they send, and the process that sends it."""
