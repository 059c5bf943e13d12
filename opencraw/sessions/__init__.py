"""The durable conversation: its transcript, its settings, what people see of it."""
