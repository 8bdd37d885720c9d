"""Sinks of messages: queues, streams, brokers.

| module | contents |
|---|---|
| options | MessageSinkConfig, HeaderConfig: the options that these sinks share |
| encode | rows as messages, by columns; rows that no message can hold are refused |
| labels | names that a message takes from its row, such as its subject |
| send | requests by count and bytes, several at a time; what a request leaves unsent is sent again |
| tls | the files of a secure connection to a broker |
| sink | MessageSink: the base of sinks that send each message at least once |
"""
