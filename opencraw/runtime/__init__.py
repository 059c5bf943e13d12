"""Runtimes turn a prompt into events. The built-in one is a loop of model and tools."""
