"""The lane-aware durable queue: what waits, what runs, and what a message does to a busy lane."""
