"""Pages that open from disk in any browser: one file each, nothing in them is fetched from elsewhere."""
