"""Storms over a running daemon, and the count of what they cost.

Reading order: `storms` (what goes wrong), `people` (who talks meanwhile), `scene` (what all of it
plays on, and the count afterwards), `report` (the one table), `__main__` (what runs when).
"""
