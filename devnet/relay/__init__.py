"""The relay: block builder, and owner of the public RPC and WebSocket."""
