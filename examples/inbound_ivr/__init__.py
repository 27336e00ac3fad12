"""An inbound IVR: see README.md."""
