"""One typed function for each command: the same name, the same arguments."""
