"""One run, typed: its sections, how they are read from YAML, and the rules between them."""
