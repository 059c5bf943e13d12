"""What breaks the lines between the daemon and everything around it."""
