"""What is remembered for channels of the platforms behind them."""
