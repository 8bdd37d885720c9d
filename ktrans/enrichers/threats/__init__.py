"""Published lists of addresses and domains: read from their files, and looked up by columns."""
