"""The only truth: a Postgres of our own or an operator's, and one way to write to it durably."""
