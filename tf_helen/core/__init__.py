"""What optimizers are made of: blocks of rows, rules, records of rows. No Keras optimizer."""
