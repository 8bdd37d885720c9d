"""Real servers for tests: each module here starts one, `fixtures` hands them to pytest.

| fixture | what runs | gives |
|---|---|---|
| `s3_server` | moto: S3, SQS, SNS, EC2, STS, Kinesis | `.url`, `.client("s3")`, `.environ` |
| `azurite` | Azurite: blobs and queues | `.blob_url`, `.queue_url`, `.connection_string` |
| `gcs_server` | fake-gcs-server | `.url`, `.client()`, `.environ` |
| `pubsub_server` | the fake of Google's Go client, or the emulator | `.host`, `.environ` |
| `kafka_broker` | Apache Kafka 4 in KRaft mode | `.bootstrap`, `.sasl_bootstrap`, `.restart()` |
| `kafka_mock` | the mock cluster of librdkafka, new for each test | `.bootstrap`, fault injection |
| `influx_server` | VictoriaMetrics: the write API of InfluxDB 2 | `.url`, `.export(...)` |
| `influx1_server` | InfluxDB 1.6 | `.url`, `.create(...)`, `.query(...)` |
| `postgres_server` | PostgreSQL | `.database()`, `.url(database)`, `.query(...)`, `.restart()` |
| `goflow2` | the collector goflow2, new for each test | `.netflow`, `.sflow`, `.file` |
| `softflowd` | nothing yet | the path of the exporter |
| `chromium` | nothing yet | the path of the browser |
| `helm`, `kustomize`, `hadolint`, `systemd_analyze` | nothing: they check deployments | the path of each |
| `kubernetes_validate` | nothing | a function that checks manifests |

All live for the session, but for the mock and goflow2; a test takes a bucket, topic or database of its own. A
server that is not on the machine skips its tests, unless KTRANS_REQUIRE_SERVICES names it, or says
`all`: then they fail. `make services` installs them; KTRANS_<NAME>_BIN points to one elsewhere.
"""
