"""What a served model is made of: raw features in, probabilities out."""
