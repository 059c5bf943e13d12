"""Why a message was, or was not, answered.

`story` is all that is known of one message, `sentences` (pure) makes an explanation of it, and
`explainer` reads stories from the database and from the process that runs.
"""
