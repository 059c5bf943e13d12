"""The HTTP side of the daemon: one server, one guard, one shape for everything that goes wrong.

ports        where we listen                connections  who is connected, and who must leave
guard        what every request passes      origins      which hosts and pages are ours
credentials  who holds which scopes         attempts     how often somebody may guess
bodies       hostile JSON                   errors       codes and the error envelope
readiness    whether we are fit to work     api          our own routes
"""
