"""The sentry process: parses what strangers send, and holds no key but its libp2p identity. Runs on trio."""
