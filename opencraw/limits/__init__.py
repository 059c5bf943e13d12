"""What people may send, and what a day of model calls may cost."""
