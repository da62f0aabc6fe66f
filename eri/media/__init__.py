"""Media: frames at presentation times, audio at 16 kHz, faces."""
