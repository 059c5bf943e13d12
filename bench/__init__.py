"""Measures OpenCraw against its budgets, beside floors that only forward."""
