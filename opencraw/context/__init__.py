"""What a model is shown: the system prompt and the part of a conversation that fits."""
