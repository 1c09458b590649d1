"""Bare peers: servers that answer and do nothing else. No tokens, classes, limits, names, journal.

Each is a program that prints the port it listens on, on loopback, and serves until SIGTERM. It
decodes a text message and answers ``{"type": "ack", "id": …}`` if that has an ``id``, and a
picture (binary) with ``{"type": "ack", "size": …}``. Compression is off.
"""
