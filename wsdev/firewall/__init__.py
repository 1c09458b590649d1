"""What a firewall does with a packet for a port, read from its rules. Pure."""
