"""What wsdev doctor finds: facts of the host in, findings out. Pure."""
