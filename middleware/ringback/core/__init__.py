"""What did the sender write, and what does it mean? Values, frozen; no input or output."""
