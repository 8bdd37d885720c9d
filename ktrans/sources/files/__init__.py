"""Files of the file source: found, read, remembered."""
