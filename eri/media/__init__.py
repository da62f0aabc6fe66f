"""Media: frames at presentation times, sound at 16 kHz, faces."""
