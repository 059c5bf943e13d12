"""Operator code, called at named points of a turn's life."""
