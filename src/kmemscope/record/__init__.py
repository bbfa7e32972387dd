"""What was observed, kept: captures now, samples over time later."""
