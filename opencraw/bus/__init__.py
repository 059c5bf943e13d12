"""What daemons that share a database tell each other: hints, all of which may be lost."""
