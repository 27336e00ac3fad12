"""What is to be done, how often, and when? Values and decisions, pure."""
