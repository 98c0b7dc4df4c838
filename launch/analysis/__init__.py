"""What `launch.analyze` measures on trained runs: sharpness, and norms by frequency."""
