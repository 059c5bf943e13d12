"""What is known beyond a conversation, kept apart by who may know it."""
