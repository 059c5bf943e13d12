"""Who may talk to the assistant, and what a person decides by choosing.

Reading order: `policy` (pure), `pairing` (who asked to be let in, what an owner said), `choices`
(questions with buttons), `guesses` and `loops` (who is not listened to for a while).
"""
