"""One package or module per channel. Each knows `opencraw.contract` and its own platform."""
