"""Networks that split, delay and cut: every run ends in an outcome that is documented."""
