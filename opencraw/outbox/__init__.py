"""The one door out: every outbound message is a row before it is sent."""
