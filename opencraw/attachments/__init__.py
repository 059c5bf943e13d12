"""Files that came with messages: what may be fetched, what they really are, what documents say."""
