"""Which records each model trains on: indices with stated guarantees."""
