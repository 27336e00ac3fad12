"""What is private, and what stands in its place? Pure."""
