"""What sinks share that send rows by HTTP requests.

| module | contents |
|---|---|
| `options` | options of the connection, of authentication and of requests |
| `client` | requests with authentication, TLS and gzip; answers |
| `answers` | what an answer means: accepted, refused rows, try again, an error |
| `batches` | rows with their texts, cut into bodies by number and size |
| `sender` | sends bodies, a few at a time, tries again, finds refused rows |
| `sink` | `HttpSink`, the base class |
"""
