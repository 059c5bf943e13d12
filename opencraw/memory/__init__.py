"""What is known beyond a conversation, kept apart by who may know it.

scopes     who may know what, from who asks (pure)
    → items      what a memory is
    → words      what a text is found by (pure)
    → embedding  what it means, as numbers, where a model for that is configured
    → vectors    keeps those numbers up to date in the background
    → ranking    the best of what was found (pure)
    → memory     search, save, flush, correct, forget
"""
