"""Other libraries' models, timed in processes and environments of their own."""
