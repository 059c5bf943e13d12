"""Claims turns, keeps them alive, settles their outcome."""
