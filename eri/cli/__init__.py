"""The command line: each command parses, calls the function of the same name, and shows what it returns."""
