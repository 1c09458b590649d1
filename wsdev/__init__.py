"""wsdev connects small devices to a host over WebSocket and says why when it does not work."""

__version__ = "0.1.0"
