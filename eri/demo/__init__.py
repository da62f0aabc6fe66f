"""The demo set: generated clips with a face and a voice, and the whole way run on them."""
