"""Snapshots of what a cloud says about addresses, and the enrichers that look rows up in them.

An enricher such as `aws_metadata` is a record type (`Holder`), a table of values, and what asks the cloud;
files, folders of dated snapshots and lookups by columns are here.
"""
