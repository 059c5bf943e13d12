"""What the daemon tells those who keep it alive."""
