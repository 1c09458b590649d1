"""The control plane: an API and a page for people and programs, on a port of its own."""
