"""What the gateway costs, beside bare peers in the same run. See docs/performance.md."""
