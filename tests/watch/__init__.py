"""What is seen of a loop that is blocked."""
