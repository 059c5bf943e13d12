"""What every kind of e-mail has in common: reading what strangers wrote, and writing an answer.

Nothing here opens a connection. Reading order: `headers` (bounded, undecoded until asked for),
`addresses` (who an address is), `authentication` (whether a From is to be believed), `automatic`
(which mail nobody should answer), `heading` (all of that in one value), `threads` (which
conversation a mail goes on), `mime` (its parts), `html` (to text), `quoting` (what its writer
added), `reading` (a mail as people see it), `arriving` (to an envelope), `tries` (what is not
handed out), `cursor` (how far a mailbox has been read) and `composing` (the answer).
"""
