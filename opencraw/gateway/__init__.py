"""The one door in: access, commands, acceptance. Nothing here waits in a lane."""
