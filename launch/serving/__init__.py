"""What `launch.export` adds to an export: the loss of quantization, and facts of the run."""
