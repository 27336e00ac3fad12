"""What happens to one request, and in which order? This room imports no web framework."""
