"""What one value of a configuration may be: each type, as text and as what is kept."""
