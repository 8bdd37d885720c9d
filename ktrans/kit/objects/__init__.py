"""Object stores: what S3, Google Cloud Storage and Azure Blob Storage have in common.

A plugin writes two classes over its SDK, whose contracts are in `store`:

| class | contract | used by |
|---|---|---|
| the store | `ObjectStore`, `ConditionalStore` | `source.ObjectSource`, `ktrans.kit.state.bucket.BucketState` |
| the target | `ObjectTarget` | `sink.ObjectSink` |

`message_hold` keeps messages of a queue hidden that announce objects.
"""
