"""Object stores: what S3, Google Cloud Storage and Azure Blob Storage have in common.

A plugin gives an `ObjectStore` to read from and an `ObjectTarget` to write to (see `store`), and
two config models; the source (`source`) and the sink (`sink`) over them are here.
"""
