"""Credit profiles, decisions and exposure."""
