"""The feature cache: one file per clip and extractor, with its identity and checksum."""
