"""What the assistant can do, and how risky it is."""
