"""Parts of the optimizers that do not depend on one: row blocks, rules, row records."""
