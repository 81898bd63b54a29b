"""Losses: pure functions, (B, ...) => (B,); the caller averages."""
