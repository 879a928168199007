"""Parts of `compare`."""
